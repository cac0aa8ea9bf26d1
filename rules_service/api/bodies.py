"""Reading bodies: media type, encoding and size are judged before the body is read whole."""

from __future__ import annotations

import hashlib

from fastapi import Request

from rules_service.api.problems import ProblemError
from rules_service.storage.keyed_request import KeyedRequest

MAX_KEY = 255
REPLAYED = {"Idempotent-Replayed": "true"}
"""Says that an answer is an earlier one, given again."""


def header(request: Request, name: bytes) -> str | None:
    """The first value of a header (name in lower-case), read off the raw list: building a mapping of all of them costs more."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def media_type(request: Request) -> str:
    """The media type without its parameters, lower-case."""
    return (header(request, b"content-type") or "").partition(";")[0].strip().lower()


async def read_body(request: Request, allowed: tuple[str, ...], limit: int) -> bytes:
    """The body; 415 for another media type or any content encoding, 413 once it is known to be too large."""
    if media_type(request) not in allowed:
        raise ProblemError("unsupported-media-type", f"Send {' or '.join(allowed)}.", headers={"Accept": ", ".join(allowed)})
    if (header(request, b"content-encoding") or "identity").lower() != "identity":
        raise ProblemError("unsupported-media-type", "Send the body without Content-Encoding.")
    declared = header(request, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


BY_NAME = 2
"""How exactly a part of Accept names a media type: `*/*` is 0, `application/*` 1."""


def accepted_media(request: Request, offered: tuple[str, ...]) -> str:
    """The media type of those offered that Accept likes best (RFC 9110 section 12.5.1): the first of those it likes alike, but before it
    one that is named by its name and not by a wildcard. 406 when it takes none."""
    best, chosen = (0.0, 0), None
    for media in offered:
        wanted = _wanted(header(request, b"accept") or "*/*", media)
        if wanted[0] > 0 and wanted > best:
            best, chosen = wanted, media
    if chosen is None:
        raise not_acceptable(offered)
    return chosen


def _wanted(accept: str, media: str) -> tuple[float, int]:
    """How much Accept likes a media type, and how exactly it names it; the most exact part counts."""
    kind, quality, exactly = media.partition("/")[0] + "/*", 0.0, -1
    for part in accept.lower().split(","):
        name, *parameters = [one.strip() for one in part.split(";")]
        exact = {media: BY_NAME, kind: 1, "*/*": 0}.get(name)
        if exact is not None and exact >= exactly:
            quality, exactly = _quality(parameters), exact
    return quality, max(exactly, 0)


def _quality(parameters: list[str]) -> float:
    told = next((one.replace(" ", "")[2:] for one in parameters if one.replace(" ", "").startswith("q=")), "1")
    try:
        return min(max(float(told), 0.0), 1.0)
    except ValueError:
        return 0.0


def idempotency_key(request: Request) -> str | None:
    """The key under which a repeated request does nothing again, when one was sent."""
    key = header(request, b"idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise ProblemError("bad-request", f"An Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters.")
    return key


def keyed(key: str, body: bytes) -> KeyedRequest:
    """The request with this key and body."""
    return KeyedRequest(key, hashlib.sha256(body).hexdigest())


def precondition(request: Request, what: str) -> str:
    """The ETag of what the caller read; 428 without one."""
    tag = header(request, b"if-match")
    if tag is None:
        raise ProblemError("precondition-required", f"Send If-Match with the ETag of the {what} you read.")
    return tag


def not_acceptable(offered: tuple[str, ...]) -> ProblemError:
    """406 with what is offered."""
    return ProblemError("not-acceptable", f"Answers here are {' or '.join(offered)}.")


def too_large(limit: int) -> ProblemError:
    """413 with the limit."""
    return ProblemError(
        "payload-too-large",
        f"The limit here is {limit} bytes. Split the input; larger files go through a job.",
        headers={"Connection": "close"},
    )


def only_query(request: Request, *allowed: str) -> None:
    """400 for a query parameter nobody reads: a misspelt one must not be ignored."""
    if not request.scope["query_string"]:
        return
    for name in request.query_params:
        if name not in allowed:
            raise ProblemError("bad-request", f"An unknown query parameter was sent. Known here: {', '.join(allowed) or 'none'}.")
