"""Money as whole cents and quantities as whole thousandths: exact, comparable, one canonical text.

On the wire both are decimal text (`"150.00"`, `"2.5"`), as in X12 element type R; a JSON number is refused,
because it may already have lost a cent in the sender's float.
"""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"(-?)(\d{0,10})(?:\.(\d{1,2})0*)?\Z", re.ASCII)
_QUANTITY = re.compile(r"(-?)(\d{0,9})(?:\.(\d{1,3})0*)?\Z", re.ASCII)


class Money:
    """US dollars as a whole number of cents."""

    __slots__ = ("cents",)

    def __init__(self, cents: int) -> None:
        self.cents = cents

    @classmethod
    def parse(cls, text: object) -> Money:
        """Read decimal text with at most two decimals; ValueError says what is expected, never what was read."""
        if type(text) is not str:
            raise ValueError('Expected an amount as decimal text such as "150.00"')
        match = _AMOUNT.match(text)
        if not match or not (match[2] or match[3]):
            raise ValueError('Expected an amount as decimal text such as "150.00", at most two decimals')
        cents = int(match[2] or "0") * 100 + int((match[3] or "0").ljust(2, "0"))
        return cls(-cents if match[1] else cents)

    def __str__(self) -> str:
        sign = "-" if self.cents < 0 else ""
        return f"{sign}{abs(self.cents) // 100}.{abs(self.cents) % 100:02d}"

    def __repr__(self) -> str:
        return f"Money({self.cents})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)


class Quantity:
    """A count of units, days, minutes or millilitres in whole thousandths."""

    __slots__ = ("thousandths",)

    def __init__(self, thousandths: int) -> None:
        self.thousandths = thousandths

    @classmethod
    def parse(cls, text: object) -> Quantity:
        """Read decimal text with at most three decimals; ValueError says what is expected, never what was read."""
        if type(text) is not str:
            raise ValueError('Expected a quantity as decimal text such as "1"')
        match = _QUANTITY.match(text)
        if not match or not (match[2] or match[3]):
            raise ValueError('Expected a quantity as decimal text such as "1" or "2.5", at most three decimals')
        amount = int(match[2] or "0") * 1000 + int((match[3] or "0").ljust(3, "0"))
        return cls(-amount if match[1] else amount)

    def __str__(self) -> str:
        sign = "-" if self.thousandths < 0 else ""
        whole, part = divmod(abs(self.thousandths), 1000)
        return f"{sign}{whole}" + (f".{part:03d}".rstrip("0") if part else "")

    def __repr__(self) -> str:
        return f"Quantity({self.thousandths})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.thousandths == other.thousandths

    def __hash__(self) -> int:
        return hash(self.thousandths)


def round_half_up(numerator: int, denominator: int) -> int:
    """Nearest whole number, halves away from zero for positive input (10/4 gives 3; Python's `round` would give 2)."""
    return (2 * numerator + denominator) // (2 * denominator)
