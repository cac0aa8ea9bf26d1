"""Requests go to public addresses over TLS, and to private ones only where their network is allowed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from rules_service.primitives.errors import InputError
from rules_service.services.outbound import Outbound, Resolver, Sent, is_public
from tests.support.receiver import Receiver, receiving

LOOPBACK = ("127.0.0.0/8",)
NOT_PUBLIC = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "100.64.0.1", "100.127.255.255", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::1",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "193.0.6.139", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808")
DISGUISED = (
    "https://127.0.0.1/", "https://localhost/", "https://LOCALHOST./", "https://2130706433/", "https://0x7f000001/",
    "https://127.1/", "https://0/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:0:0:1]/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://10.0.0.1:8443/", "https://192.168.1.1/",
    "https://[fe80::1%25lo]/", "https://0.0.0.0/", "https://[::]/", "http://8.8.8.8/",
)  # fmt: skip
NO_TARGET = (
    "", "ehr.example", "//ehr.example/x", "/hooks", "file:/etc/passwd", "ftp://ehr.example/", "gopher://ehr.example/", "unix:///run/x",
    "https://", "https:///x", "https://user@ehr.example/", "https://user:secret@ehr.example/", "https://ehr.example/#part",
    "https://ehr.example/" + "x" * 2_000, "https://\x00/", "https://ehr.example:99999/", "https://[::1", "javascript:alert(1)",
    "data:text/plain,x", "https://0177.0.0.1/", "https://ehr.example\r\nHost: x/",
)  # fmt: skip


def names(**known: Sequence[str]) -> Resolver:
    """A name server of these names; a list that is used up gives its last answer again and again."""

    async def resolve(host: str) -> Sequence[str]:
        found = known.get(host.split(".")[0], ())
        return found

    return resolve


def refused(outbound: Outbound, url: str) -> str:
    with pytest.raises(InputError) as fault:
        asyncio.run(outbound.check(url))
    (issue,) = fault.value.issues
    assert issue.where == "/url"
    assert "secret" not in str(fault.value), "the URL is not repeated"
    return issue.code


def post(outbound: Outbound, url: str) -> Sent:
    return asyncio.run(outbound.post(url, {"x-test": "1"}, b"{}"))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_by_whatever_name(address: str) -> None:
    assert not is_public(ip_address(address))
    outbound = Outbound(resolve=names(receiver=[address]))
    assert refused(outbound, "https://receiver.example/") == "address_refused"
    assert post(outbound, "https://receiver.example/").failure == "address_refused"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken_with_tls_and_refused_without(address: str) -> None:
    assert is_public(ip_address(address))
    outbound = Outbound(resolve=names(receiver=[address]))
    asyncio.run(outbound.check("https://receiver.example/hooks?token=1"))
    assert refused(outbound, "http://receiver.example/") == "address_refused"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_and_its_ipv6_forms_are_judged_alike(address: object) -> None:
    number = int(address)  # type: ignore[call-overload]
    plain = is_public(ip_address(number))
    mapped, nat64, sixtofour = (0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80)
    assert [is_public(ip_address(one)) for one in (mapped, nat64, sixtofour)] == [plain] * 3


@pytest.mark.parametrize("url", DISGUISED)
def test_no_spelling_of_a_url_reaches_what_is_not_public(url: str) -> None:
    assert refused(Outbound(), url) in ("address_refused", "host_unresolvable")
    assert post(Outbound(), url).failure in ("address_refused", "unresolvable")


@pytest.mark.parametrize("url", NO_TARGET)
def test_what_is_no_url_to_send_to_is_refused(url: str) -> None:
    assert refused(Outbound(LOOPBACK), url) in ("url_unreadable", "url_parts")


@pytest.mark.parametrize("host", ["a..example", ".example", "xn--a.example", "a" * 64 + ".example"])
def test_what_is_no_host_name_is_told_as_one_without_address(host: str) -> None:
    assert refused(Outbound(), f"https://{host}/") in ("host_unresolvable", "url_unreadable")


def test_a_name_with_one_address_that_is_not_public_is_refused_whole() -> None:
    assert refused(Outbound(resolve=names(receiver=["8.8.8.8", "10.0.0.1"])), "https://receiver.example/") == "address_refused"


def test_a_name_without_address_is_told() -> None:
    outbound = Outbound(resolve=names())
    assert refused(outbound, "https://receiver.example/") == "host_unresolvable"
    assert post(outbound, "https://receiver.example/") == Sent(None, "unresolvable")


def test_a_name_server_that_does_not_answer_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(host: str) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr("rules_service.services.outbound.SECONDS", 0.1)
    assert refused(Outbound(resolve=silent), "https://receiver.example/") == "host_unresolvable"
    assert post(Outbound(resolve=silent), "https://receiver.example/") == Sent(None, "timeout")


def test_a_name_that_changes_its_address_after_the_check_reaches_nothing() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def rebinding(host: str) -> Sequence[str]:
        return answers.pop(0)

    with receiving() as receiver:
        outbound = Outbound(resolve=rebinding)
        asyncio.run(outbound.check("https://receiver.example/"))
        assert post(outbound, receiver.url("https", "receiver.example")) == Sent(None, "address_refused")
        assert receiver.arrived == []


def test_the_request_goes_to_the_address_that_was_checked_under_the_name() -> None:
    with receiving() as receiver:
        outbound = Outbound(LOOPBACK, names(receiver=["127.0.0.1"]))
        assert post(outbound, receiver.url("http", "receiver.example", "/hooks?token=1")) == Sent(200, None)
        ((headers, body),) = receiver.arrived
        assert (headers["host"], headers["x-test"], body) == (f"receiver.example:{receiver.port}", "1", b"{}")


def test_what_is_fetched_is_read_up_to_a_limit_as_it_comes() -> None:
    with receiving() as receiver:
        receiver.documents = {"/keys": b"12345678"}
        outbound = Outbound(LOOPBACK, names(receiver=["127.0.0.1"]))
        url = receiver.url("http", "receiver.example", "/keys")
        assert asyncio.run(outbound.get(url, 8)) == Sent(200, None, b"12345678")
        assert asyncio.run(outbound.get(url, 7)) == Sent(200, "too_large")
        assert asyncio.run(outbound.get(receiver.url("http", "receiver.example", "/none"), 8)) == Sent(404, "status")
        assert asyncio.run(Outbound(resolve=names(receiver=["127.0.0.1"])).get(url, 8)) == Sent(None, "address_refused")
        receiver.seconds = 1.0
        assert asyncio.run(outbound.get(url, 8, 0.2)) == Sent(None, "timeout")


def test_a_redirect_is_not_followed() -> None:
    with receiving() as receiver:
        receiver.statuses = [307]
        assert post(Outbound(LOOPBACK), receiver.url()) == Sent(307, "status")
        assert len(receiver.arrived) == 1


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(path=""))
        assert post(Outbound(LOOPBACK), receiver.url()) == Sent(200, None)
        assert (len(receiver.arrived), proxy.arrived) == (1, [])


def test_an_address_that_does_not_answer_leaves_the_next_one() -> None:
    with receiving() as receiver:
        outbound = Outbound(LOOPBACK, names(receiver=["127.0.0.9", "127.0.0.1"]))
        assert post(outbound, receiver.url("http", "receiver.example")) == Sent(200, None)
    assert post(outbound, receiver.url("http", "receiver.example")) == Sent(None, "unreachable")


def test_who_is_too_slow_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules_service.services.outbound.SECONDS", 0.3)
    with receiving() as receiver:
        receiver.seconds = 1.0
        assert post(Outbound(LOOPBACK), receiver.url()) == Sent(None, "timeout")


@pytest.fixture
def tls_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver with a certificate for receiver.example, of an authority this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("receiver.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "receiver.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with receiving(context) as receiver:
        yield receiver


def test_the_certificate_must_be_of_the_name_not_of_the_address(tls_receiver: Receiver) -> None:
    outbound = Outbound(LOOPBACK, names(receiver=["127.0.0.1"], another=["127.0.0.1"], **{"127": ["127.0.0.1"]}))
    assert post(outbound, tls_receiver.url("https", "receiver.example")) == Sent(200, None)
    assert post(outbound, tls_receiver.url("https", "another.example")) == Sent(None, "tls")
    assert post(outbound, tls_receiver.url("https")) == Sent(None, "tls")
    assert len(tls_receiver.arrived) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(tls_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outbound = Outbound(LOOPBACK, names(receiver=["127.0.0.1"]))
    assert post(outbound, tls_receiver.url("https", "receiver.example")) == Sent(None, "tls")
    assert tls_receiver.arrived == []
