"""A pack's own CSV tables: lists with effective dates per row, compiled to the same byte form as reference editions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from rules_service.primitives.codes import npi_is_valid
from rules_service.primitives.errors import Issue, PackFault, ReferenceFault
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, rows, valid_code
from rules_service.reference.pair_table import NO_LAST_DAY, write_pair_table
from rules_service.reference.readers import as_excerpt, as_partial
from rules_service.rules.kinds import (
    age_sex,
    authorization_list,
    benefit_exclusion,
    diagnosis_coverage,
    frequency_limit,
    modifier_requirement,
    provider_roster,
)

REQUIREMENTS = ("required", "not_required", "notification", "voluntary", "suspended")
Test = Callable[[str], bool]


def _one_of(*words: str) -> tuple[Test, str]:
    return (lambda text: text in words), f"one of {', '.join(word or '(empty)' for word in words)}"


def _is_policy_key(text: str) -> bool:
    policy, _, group = text.partition("/")
    return 0 < len(text) <= 40 and text.isascii() and policy.isalnum() and (not group or group.isalnum())


WHOLE: tuple[Test, str] = (lambda text: text.isascii() and text.isdigit() and len(text) <= 7), "a whole number"
WHOLE_OR_NONE: tuple[Test, str] = (lambda text: not text or WHOLE[0](text)), "a whole number, or empty"
CODES: tuple[Test, str] = (lambda text: all(valid_code(code) for code in text.split())), "codes separated by spaces, upper-case"
CODE: tuple[Test, str] = valid_code, "letters and digits, upper-case"
DIAGNOSIS: tuple[Test, str] = (
    (lambda text: valid_code(text.removesuffix("*").replace(".", ""))),
    "a diagnosis code, or the beginning of one with * behind it",
)
POLICY: tuple[Test, str] = _is_policy_key, "letters and digits, with / and a group where there is one"
NPI: tuple[Test, str] = npi_is_valid, "an NPI with its check digit"
AGES = ("age_from", "age_through")
NETWORKS: tuple[Test, str] = (lambda text: set(text.split()) <= {"par", "nonpar"}), "par, nonpar, or both separated by a space"
CONDITIONS = {"companion_codes": CODES, "specialties": CODES, "units_from": WHOLE_OR_NONE, "networks": NETWORKS}


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of table: its key column and what a key is, the stored columns, and what their cells must be."""

    key: str
    key_test: tuple[Test, str]
    columns: tuple[tuple[str, Literal["int", "text"]], ...]
    tests: Mapping[str, tuple[Test, str]]
    needed: tuple[str, ...] = ()


def _shape(
    columns: tuple[str, ...], needed: tuple[str, ...] = (), key: str = "code", key_test: tuple[Test, str] = CODE, **tests: tuple[Test, str]
) -> Shape:
    return Shape(
        key,
        key_test,
        tuple((name, "text") for name in columns),
        {
            **{name: WHOLE_OR_NONE for name in AGES if name in columns},
            **{name: test for name, test in CONDITIONS.items() if name in columns},
            **tests,
        },
        needed,
    )


SHAPES: dict[str, Shape] = {
    "authorization_list": _shape(authorization_list.ROW_COLUMNS, ("requirement",), requirement=_one_of(*REQUIREMENTS)),
    "code_classes": _shape(("class",), ("class",)),
    "unit_limits": Shape("code", CODE, (("value", "int"), ("mai", "int")), {"value": WHOLE, "mai": _one_of("", "0", "1", "2", "3")}, ("value",)),
    "modifier_requirements": _shape(modifier_requirement.ROW_COLUMNS, requires_any_of=CODES, forbids=CODES),
    "benefit_rules": _shape(benefit_exclusion.ROW_COLUMNS, ("rule",), rule=_one_of(*benefit_exclusion.RULES)),
    "frequency_limits": _shape(
        frequency_limit.LIMIT_COLUMNS, ("limit", "period"), limit=WHOLE, length=WHOLE_OR_NONE, period=_one_of(*frequency_limit.PERIODS),
        per=_one_of("", "patient", "provider"),
    ),
    "age_sex_limits": _shape(age_sex.LIMIT_COLUMNS, sex=_one_of("", "F", "M")),
    "coverage_policies": _shape(diagnosis_coverage.POLICY_COLUMNS, ("policy",), policy=CODE),
    "coverage_diagnoses": _shape(
        diagnosis_coverage.DIAGNOSIS_COLUMNS, ("diagnosis", "list"), key="policy", key_test=POLICY, diagnosis=DIAGNOSIS, list=_one_of(*diagnosis_coverage.LISTS),
    ),
    "provider_roster": _shape(
        provider_roster.ROSTER_COLUMNS, ("enrolment",), key="npi", key_test=NPI, enrolment=_one_of(*provider_roster.ENROLMENTS), network=_one_of("", "par", "nonpar"),
    ),
}  # fmt: skip
_DATES = (Field("first", ("effectivefrom",)), Field("last", ("effectivethrough",), optional=True))
_PAIR_FIELDS = (Field("one", ("columnone",)), Field("two", ("columntwo",)), *_DATES, Field("indicator", ("modifierindicator",)))


def compile_table(kind: str, text: str, file: str, is_partial: bool = False, is_excerpt: bool = False) -> bytes:
    """The table's bytes, marked when it is an extract of either sort; PackFault with file and line for every bad row."""
    faults = FaultList(file)
    try:
        compiled = _pairs(text, faults) if kind == "code_pairs" else _codes(SHAPES[kind], text, faults)
        faults.raise_any()
    except ReferenceFault as error:
        raise PackFault(
            f"The table {file} cannot be used", [Issue("PK017", issue.where, issue.message, issue.mend) for issue in error.issues]
        ) from None
    return as_partial(compiled) if is_partial else as_excerpt(compiled) if is_excerpt else compiled


def _codes(shape: Shape, text: str, faults: FaultList) -> bytes:
    names = [name for name, _ in shape.columns]
    fields = (
        Field("key", (shape.key,)),
        *_DATES,
        *(Field(name, (name.replace("_", ""),), optional=name not in shape.needed) for name in names),
    )
    kept: list[Row] = []
    for line, cell, first, last in _dated(text, fields, faults):
        key = cell["key"]
        if not shape.key_test[0](key):
            faults.add("bad_code", line, f"{shape.key} is {shape.key_test[1]}.", "Mend the cell.")
            continue
        wrong = [name for name in names if name in shape.tests and not shape.tests[name][0](cell.get(name, ""))]
        wrong += [name for name in shape.needed if not cell.get(name)]
        for name in dict.fromkeys(wrong):
            faults.add(name, line, f"{name} is {shape.tests[name][1] if name in shape.tests else 'not empty'}.", "Mend the cell.")
        if not wrong:
            values = tuple(
                int(cell.get(name) or (1 if name == "mai" else 0)) if form == "int" else cell.get(name, "") for name, form in shape.columns
            )
            kept.append(Row(key, first, last, values))
    return write_code_table(kept, shape.columns)


def _pairs(text: str, faults: FaultList) -> bytes:
    pairs: list[tuple[str, str, int, int, int]] = []
    for line, cell, first, last in _dated(text, _PAIR_FIELDS, faults):
        if not (valid_code(cell["one"]) and valid_code(cell["two"])):
            faults.add("bad_code", line, "A code is letters and digits, upper-case.", "Mend the code.")
        elif cell["indicator"] not in ("0", "1", "9"):
            faults.add("indicator", line, "modifier_indicator is 0, 1 or 9.", "Mend the cell.")
        else:
            pairs.append((cell["one"], cell["two"], first.toordinal(), last.toordinal() if last else NO_LAST_DAY, int(cell["indicator"])))
    return write_pair_table(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], *([pair[index] for pair in pairs] for index in (2, 3, 4))
    )


def _dated(text: str, fields: tuple[Field, ...], faults: FaultList) -> Iterator[tuple[int, Mapping[str, str], date, date | None]]:
    """Rows with their dates; a row without a first day, or with its dates swapped, is a fault."""
    read_day = cell_reader(faults)
    for line, cell in rows(text, fields, faults):
        first, last = read_day(line, cell["first"], "effective_from", ""), read_day(line, cell.get("last", ""), "effective_through", "")
        if first is None:
            faults.add("no_first_day", line, "The row has no effective_from.", "Give the first day it applies.")
        elif last is not None and last < first:
            faults.add("dates_swapped", line, "effective_through lies before effective_from.", "Swap the dates.")
        else:
            yield line, cell, first, last
