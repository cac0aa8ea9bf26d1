"""Strict JSON to claim and back: unknown fields, duplicate keys, NaN, NUL, lone surrogates and wrong types are refused.

msgspec does the typed decoding and refuses most of these by itself; it keeps the last of two duplicate keys and
accepts NUL, so those two are checked here. Errors name a JSON pointer and never hold a value of the claim.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from rules_service.claim.claim import Claim
from rules_service.primitives.errors import InvalidClaim, Issue, MalformedBody
from rules_service.primitives.money import Money, Quantity

T = TypeVar("T")

_PATH_STEP = re.compile(r"\.([A-Za-z_0-9]+)|\[(\d+|\.\.\.)\]")
_FOUND = re.compile(r"(Expected (?:`[^`]*`(?: \| )?)+), got `[^`]*`")


def decode_value(kind: type, value: Any) -> Any:
    """msgspec `dec_hook`: amounts and quantities from their decimal text."""
    if kind is Money:
        return Money.parse(value)
    if kind is Quantity:
        return Quantity.parse(value)
    raise TypeError("unsupported type")


def encode_value(value: Any) -> Any:
    """msgspec `enc_hook`: amounts and quantities as decimal text."""
    if isinstance(value, (Money, Quantity)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def schema_value(kind: type) -> dict[str, Any]:
    """msgspec `schema_hook`."""
    if kind is Money:
        return {
            "type": "string",
            "description": "US dollars as decimal text",
            "examples": ["150.00"],
            "pattern": r"^-?\d{0,10}(\.\d{1,2}0*)?$",
        }
    if kind is Quantity:
        return {"type": "string", "description": "Quantity as decimal text", "examples": ["1"], "pattern": r"^-?\d{0,9}(\.\d{1,3}0*)?$"}
    raise TypeError("unsupported type")


def refuse_duplicate_key(pairs: list[tuple[str, Any]]) -> None:
    """`object_pairs_hook` that builds nothing and refuses a key given twice."""
    if len(dict(pairs)) != len(pairs):
        raise MalformedBody(
            "An object has the same key twice", [Issue("duplicate_key", "", "An object has the same key twice.", "Send each field once.")]
        )


_pairs_only = json.JSONDecoder(object_pairs_hook=refuse_duplicate_key)


def _pointer(message: str) -> tuple[str, str]:
    """(what is wrong, JSON pointer) of a msgspec message `... - at `$.a[0].b``; the path names fields, not values."""
    what, _, path = message.partition(" - at `$")
    steps = "".join("/" + (field or index) for field, index in _PATH_STEP.findall(path.rstrip("`")))
    return what, steps


def _safe_reason(what: str) -> tuple[str, str, str]:
    """(code, message, mend) that echo nothing of the body; field names a sender invented are not repeated either."""
    if what.startswith("Object contains unknown field"):
        return "unknown_field", "A field here is not part of the document.", "Remove it, or check its spelling in the JSON schema."
    if what.startswith("Object missing required field"):
        field = what.rsplit("`", 2)[1]
        return "missing_field", f"The required field {field} is missing.", f"Add {field}."
    if what.startswith("Invalid enum value"):
        return "unknown_value", "The value is not one of those allowed here.", "Use a value the JSON schema lists for this field."
    expected = _FOUND.search(what)
    if expected:
        return "wrong_type", f"{expected[1]}.", "Send the type the JSON schema names."
    if what.startswith("Expected"):
        return "wrong_form", what if what.endswith(".") else what + ".", "Send the form the JSON schema names."
    if what.startswith("Invalid RFC3339"):
        is_day = what.endswith("date")
        form = "a date, such as 2026-11-23" if is_day else "an instant with its offset, such as 2026-11-23T10:00:00-05:00"
        return "wrong_form", f"Expected {form}.", "Send it in that form."
    return "wrong_form", "The value does not have the form expected here.", "Send the form the JSON schema names."


class StrictDecoder:
    """Decodes one JSON text into one type, strictly. Safe to share between threads."""

    def __init__(self, kind: Any, noun: str = "claim") -> None:
        self._decoder = msgspec.json.Decoder(kind, dec_hook=decode_value)
        self._title = f"The body is not a {noun}"

    def decode(self, body: bytes) -> Any:
        """The decoded value; MalformedBody when it is not strict JSON, InvalidClaim when it is not of the type."""
        try:
            value = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            what, pointer = _pointer(str(error))
            code, message, mend = _safe_reason(what)
            raise InvalidClaim(self._title, [Issue(code, pointer, message, mend)]) from None
        except UnicodeDecodeError as error:
            raise MalformedBody(
                "The body is not UTF-8", [Issue("not_utf8", f"byte {error.start}", "This byte is not UTF-8.", "Encode the body as UTF-8.")]
            ) from None
        except (msgspec.DecodeError, RecursionError) as error:
            at = re.search(r"byte (\d+)", str(error))
            where = f"byte {at[1]}" if at else f"byte {len(body)}"
            raise MalformedBody(
                "The body is not JSON",
                [
                    Issue(
                        "malformed_json",
                        where,
                        "The JSON cannot be read from here.",
                        "Send one complete JSON value (RFC 8259); NaN, Infinity and lone surrogates are not JSON.",
                    )
                ],
            ) from None
        try:
            if b"\\u0000" in body and _holds_nul(json.loads(body)):
                raise MalformedBody("A text holds NUL", [Issue("nul_character", "", "A text holds the character U+0000.", "Remove it.")])
            _pairs_only.decode(body.decode())
        except (ValueError, RecursionError):
            # What is kept raw for later (the claims of a batch) was not decoded above.
            issue = Issue(
                "malformed_json",
                f"byte {len(body)}",
                "A part of the JSON cannot be read.",
                "Send JSON (RFC 8259) in UTF-8, not nested this deep.",
            )
            raise MalformedBody("The body is not JSON", [issue]) from None
        return value


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item:
                return True
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
    return False


claim_decoder = StrictDecoder(Claim)
_encoder = msgspec.json.Encoder(enc_hook=encode_value)


def encode_json(value: Any) -> bytes:
    """JSON of a claim or any other structure of this project; equal structures give equal bytes."""
    return _encoder.encode(value)
