"""The one way out: HTTP to addresses that somebody gave us. It reaches public addresses over TLS, and private ones only where the operator
allows their network, so that nobody makes the service ask what only the service can reach (server-side request forgery).

The name is resolved once; the request goes to the address that was checked, under the name (TLS server name, Host). Redirects are not
followed, proxies of the environment are not used, and of an answer no more is read than was asked for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

import httpx

from rules_service.primitives.errors import InputError, Issue

SECONDS = 15.0
"""From the look-up of the name to the status of the answer."""
MAX_URL = 2_000
_NAT64 = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Awaitable[Sequence[str]]]
Failure = Literal["unresolvable", "address_refused", "tls", "unreachable", "timeout", "status", "too_large"]
"""Why a request did not do: the name has no address; an address it may not reach; the certificate; no connection; too slow; not 2xx;
an answer longer than was asked for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request came to. `body` is of a GET only."""

    status: int | None
    failure: Failure | None
    body: bytes = b""


class AddressRefused(Exception):
    """The address may not be reached, or not without TLS."""


async def resolved(host: str) -> Sequence[str]:
    """The addresses of a name, by the system's resolver; OSError when there are none, or when it is no name at all."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # an empty label, one of over 63 characters, or a false A-label
        raise OSError("not a host name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Outbound:
    """Sends requests. `networks` are the private ones that may be reached, also without TLS."""

    def __init__(self, networks: Sequence[str] = (), resolve: Resolver = resolved) -> None:
        self._networks = [ip_network(one) for one in networks]
        self._resolve = resolve
        self._tls: ssl.SSLContext | None = None

    async def check(self, url: str) -> None:
        """InputError when nothing may be sent there, as things stand now."""
        target = target_of(url)
        try:
            async with asyncio.timeout(SECONDS):
                await self._addresses(target)
        except OSError:  # a TimeoutError is one
            raise _refused("host_unresolvable", "The host of the URL has no address.", "Check its name.") from None
        except AddressRefused:
            raise _refused(
                "address_refused",
                "The URL leads to an address that is not public, or to a public one without TLS.",
                "Use https and a public host; an operator can allow a private network with OUTBOUND_NETWORKS.",
            ) from None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """POST and read the status; never raises for what the other side does."""
        return await self._within(SECONDS, httpx.Request("POST", target_of(url), headers=headers, content=body), 0)

    async def get(self, url: str, limit: int, seconds: float = SECONDS) -> Sent:
        """GET and read up to `limit` bytes of the answer; never raises for what the other side does."""
        return await self._within(seconds, httpx.Request("GET", target_of(url), headers={"Accept": "application/json"}), limit)

    async def _within(self, seconds: float, request: httpx.Request, limit: int) -> Sent:
        try:
            async with asyncio.timeout(seconds):
                return await self._request(request, limit)
        except TimeoutError:
            return Sent(None, "timeout")

    async def _request(self, request: httpx.Request, limit: int) -> Sent:
        target = request.url
        try:
            addresses = await self._addresses(target)
        except OSError:
            return Sent(None, "unresolvable")
        except AddressRefused:
            return Sent(None, "address_refused")
        failure: Failure = "unreachable"
        for address in addresses:
            try:
                return await self._send(request, address, limit)
            except httpx.TimeoutException:
                return Sent(None, "timeout")
            except httpx.ConnectError as error:
                failure = "tls" if _is_certificate_fault(error) else "unreachable"
                continue  # another address of the name may answer
            except (httpx.HTTPError, ssl.SSLError, OSError):
                return Sent(None, "unreachable")
        return Sent(None, failure)

    async def _send(self, request: httpx.Request, address: Address, limit: int) -> Sent:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        target = request.url
        # A client for each request: a connection kept for one name must not serve another name of the same address.
        async with httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=SECONDS) as client:
            pinned = client.build_request(
                request.method, target.copy_with(host=str(address)), content=request.content,
                headers={**request.headers, "accept-encoding": "identity"},  # Host is among them, by the name
                extensions={"sni_hostname": target.raw_host.decode("ascii")},
            )  # fmt: skip
            response = await client.send(pinned, stream=True)
            try:
                body = await _start_of(response, limit)
            finally:
                await response.aclose()
        if len(body) > limit:
            return Sent(response.status_code, "too_large")
        return Sent(response.status_code, None if response.is_success else "status", body)

    async def _addresses(self, target: httpx.URL) -> list[Address]:
        """Every address of the host, when each of them may be reached: one that may not makes the name suspect."""
        host = target.raw_host.decode("ascii")
        found = [ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
        if not found:
            raise OSError("no address")
        for address in found:
            if any(address.version == network.version and address in network for network in self._networks):
                continue
            if target.scheme != "https" or not is_public(address):
                raise AddressRefused
        return found


async def _start_of(response: httpx.Response, limit: int) -> bytes:
    """The answer's bytes as they come, up to one more than the limit; none when none are wanted."""
    body = bytearray()
    if limit:
        async for chunk in response.aiter_raw():
            body += chunk[: limit + 1 - len(body)]
            if len(body) > limit:
                break
    return bytes(body)


def target_of(url: str) -> httpx.URL:
    """The URL, when it is one a request can be sent to; InputError otherwise. Its text is never repeated."""
    try:
        target = httpx.URL(url)
        host = target.host  # decodes an A-label, and raises for a false one
    except (httpx.InvalidURL, ValueError, TypeError):
        raise _refused("url_unreadable", "This is no URL.", "Send one such as https://ehr.example/hooks.") from None
    if target.scheme not in ("https", "http") or not host:
        raise _refused(
            "url_unreadable", "The URL has no host, or another scheme than https.", "Send one such as https://ehr.example/hooks."
        )
    if target.port is not None and not 0 < target.port < 65_536:
        raise _refused("url_unreadable", "The URL's port is no port.", "Leave it out, or send one from 1 to 65535.")
    if target.userinfo or target.fragment or len(url) > MAX_URL:
        raise _refused(
            "url_parts", f"The URL holds a user, a password or a fragment, or more than {MAX_URL} characters.", "Leave them out."
        )
    return target


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet, also the IPv4 address that some IPv6 addresses stand for."""
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def _refused(code: str, message: str, mend: str) -> InputError:
    return InputError("Nothing can be sent there", [Issue(code, "/url", message, mend)])


def _is_certificate_fault(error: BaseException) -> bool:
    """Whether a TLS error stands behind a connection error: httpx tells of both alike."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
