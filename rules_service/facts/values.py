"""A fact's value: known and present, known to be absent (None), or unknown with the reason why.

Known values are `int` (counts, cents, thousandths, day numbers), `str`, `bool` or a tuple of `str`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from rules_service.primitives.codes import shown_code
from rules_service.primitives.money import Money, Quantity
from rules_service.primitives.unknown import Unknown

FactType = Literal["text", "codes", "count", "quantity", "money", "day", "flag"]
NUMERIC: frozenset[str] = frozenset({"count", "quantity", "money", "day"})


FactValue = int | str | bool | tuple[str, ...] | None | Unknown
Literal_ = int | str | bool
Getter = Callable[[Any], FactValue]
"""Reads a fact off a ClaimView (claim level) or a LineView (line level)."""
Derivation = tuple[str, FactType, str, Getter]
"""Name, type, meaning and getter of a fact that no single field states."""


@dataclass(frozen=True, slots=True)
class FactSpec:
    """Name, type and meaning of a fact. `phi` values are never shown in a finding, message or explanation."""

    name: str
    type: FactType
    level: Literal["claim", "line", "kind"]
    description: str
    phi: bool = False


def parse_literal(kind: FactType, text: str) -> Literal_:
    """A literal of a rule, written as text, in the type of the fact it is compared with; ValueError says what is expected."""
    if kind in ("text", "codes"):
        if not text or len(text) > 200 or not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text or text == UNSAFE_TEXT:
            raise ValueError("expected 1 to 200 printable ASCII characters without quote or backslash")
        return text
    if kind == "flag":
        if text not in ("true", "false"):
            raise ValueError("expected true or false")
        return text == "true"
    if kind == "day":
        try:
            return date.fromisoformat(text).toordinal()
        except ValueError:
            raise ValueError("expected a date such as 2026-11-23") from None
    if kind == "money":
        return Money.parse(text).cents
    if kind == "quantity":
        return Quantity.parse(text).thousandths
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 15):
        raise ValueError("expected a whole number")
    return int(text)


def format_value(kind: FactType, value: FactValue) -> str | None:
    """A known value as a person reads it; None when absent or unknown."""
    if value is None or isinstance(value, Unknown):
        return None
    if isinstance(value, tuple):
        return ", ".join(value)
    if kind == "flag":
        return "true" if value else "false"
    if kind == "day":
        return date.fromordinal(int(value)).isoformat()
    if kind == "money":
        return str(Money(int(value)))
    if kind == "quantity":
        return str(Quantity(int(value)))
    return str(value)


NOT_SHOWN = "present, not shown"


def shown_value(spec: FactSpec, value: FactValue, literals: Iterable[object] = ()) -> str | None:
    """A fact as a finding, message or explanation may show it; None when absent or unknown.

    PHI is never shown. Text a sender could have typed anything into is shown only when it is shaped like a code, or is one of the
    literals the rule's author wrote.
    """
    if spec.phi:
        return None if value is None or value == () or isinstance(value, Unknown) else NOT_SHOWN
    if isinstance(value, (str, tuple)):
        known = set(literals)
        texts = value if isinstance(value, tuple) else (value,)
        if not all(text in known or shown_code(text) == text for text in texts):
            return NOT_SHOWN
    return format_value(spec.type, value)


UNSAFE_TEXT = "~"
"""What the engine is given for claim text it could not take. No literal may be this text, so equality and inequality stay true."""


def engine_text(text: str) -> str:
    """The text, or UNSAFE_TEXT when it is long, or holds a quote, a backslash, a control or a non-ASCII character."""
    if len(text) <= 200 and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return UNSAFE_TEXT
