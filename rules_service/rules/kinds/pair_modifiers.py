"""Which modifiers separate an NCCI pair: those associated with PTP edits, where the payer looks for them, on codes that take them.

NCCI Policy Manual ch. I; CR 11168 (59 and X{EPSU} on either code from 2019-07-01, professional claims).
"""

from __future__ import annotations

from datetime import date
from typing import Literal, Protocol

from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups

ANATOMIC = frozenset(
    [
        "E1",
        "E2",
        "E3",
        "E4",
        "FA",
        "F1",
        "F2",
        "F3",
        "F4",
        "F5",
        "F6",
        "F7",
        "F8",
        "F9",
        "TA",
        "T1",
        "T2",
        "T3",
        "T4",
        "T5",
        "T6",
        "T7",
        "T8",
        "T9",
        "LT",
        "RT",
        "LC",
        "LD",
        "RC",
        "LM",
        "RI",
    ]
)
DISTINCT_SERVICE = frozenset(["59", "XE", "XS", "XP", "XU"])
ASSOCIATED = ANATOMIC | DISTINCT_SERVICE | frozenset(["24", "25", "57", "58", "78", "79", "27", "91"])
"""PTP-associated modifiers, exactly (NCCI Policy Manual ch. I). 22, 76, 77, 50, 51, 26 and TC are not among them."""


VISITS = (
    ("99202", "99215"),
    ("99221", "99239"),
    ("99242", "99255"),
    ("99281", "99285"),
    ("99304", "99316"),
    ("99341", "99350"),
    ("99381", "99397"),
)
"""Subsections of evaluation and management that hold visits: office, hospital, consultation, emergency department, nursing facility, home,
preventive medicine."""
KINDS = frozenset({"evaluation", "procedure", "laboratory"})
"""Of the classes a code may have, those that say which modifiers it takes."""


class BypassParameters(Protocol):
    """What of a pair rule's parameters says which modifiers separate a pair."""

    @property
    def bypass_modifiers(self) -> tuple[str, ...] | None: ...

    @property
    def bypass_line(self) -> Literal["either", "column_two"] | None: ...

    @property
    def code_classes(self) -> str | None: ...


def associated(parameters: BypassParameters, line: LineView) -> list[str]:
    """The line's modifiers that are associated with PTP edits, or with the payer's own pairs."""
    allowed = parameters.bypass_modifiers or ASSOCIATED
    return [modifier for modifier in line.modifiers if modifier in allowed]


def bypassing_modifiers(parameters: BypassParameters, lookups: Lookups, one: LineView, two: LineView) -> list[str]:
    """Modifiers that separate the pair, column two first, each once. 59 and X{EPSU} count where `bypass_line` says."""
    found = [modifier for modifier in associated(parameters, two) if valid_on(parameters, lookups, modifier, two)]
    for modifier in associated(parameters, one):
        if modifier in DISTINCT_SERVICE and parameters.bypass_line == "column_two":
            continue
        if valid_on(parameters, lookups, modifier, one):
            found.append(modifier)
    if not ANATOMIC.isdisjoint(found) and any("evaluation" in kinds_of(parameters, lookups, line) for line in (one, two)):
        found = [modifier for modifier in found if modifier not in ANATOMIC]  # where the procedure was done says nothing of the visit
    return list(dict.fromkeys(found))


def _section(code: str) -> frozenset[str]:
    """What a CPT code is by its section, where the section says it: surgery and radiology hold no visit, pathology and laboratory tests only.
    Of evaluation and management, the subsections of visits."""
    if len(code) != 5 or not (code.isascii() and code.isdigit()):
        return frozenset()
    if any(first <= code <= last for first, last in VISITS):
        return frozenset(["evaluation"])
    return frozenset(["laboratory" if code >= "80047" else "procedure"] if "10004" <= code <= "89398" else [])


def kinds_of(parameters: BypassParameters, lookups: Lookups, line: LineView) -> frozenset[str]:
    """Whether a line's code is a visit, a procedure, a laboratory test: by the table, else by its section; empty where neither says it. A
    payer's own pairs have modifiers of their own, and their codes are not asked."""
    if parameters.bypass_modifiers is not None or line.date_from is None or line.code is None:
        return frozenset()
    return lookups.once(_kinds_of_code, parameters.code_classes, line.code, line.date_from)


def _kinds_of_code(lookups: Lookups, code_classes: str | None, code: str, day: date) -> frozenset[str]:
    table = lookups.codes(code_classes, day) if code_classes is not None else None
    known = frozenset[str]() if table is None or isinstance(table, Unknown) else table.texts_on(code, "class", day.toordinal())
    return KINDS & known or _section(code)


def valid_on(parameters: BypassParameters, lookups: Lookups, modifier: str, line: LineView) -> bool:
    """24, 25, 57 on evaluation and management; 27 there on facility claims; 59, X{EPSU} and places of the body not there; 58, 78, 79 on procedures; 91 on laboratory
    (NCCI manual ch. I)."""
    kinds = kinds_of(parameters, lookups, line)
    if not kinds:
        return True  # nothing is known of the code, and a false alarm costs more than a missed one
    if modifier in ("24", "25", "57"):
        return "evaluation" in kinds
    if modifier == "27":
        return "evaluation" in kinds and line.claim.claim_type == "institutional"
    if modifier == "91":
        return "laboratory" in kinds
    if modifier in ("58", "78", "79"):
        return "procedure" in kinds
    return "evaluation" not in kinds if modifier in DISTINCT_SERVICE | ANATOMIC else True
