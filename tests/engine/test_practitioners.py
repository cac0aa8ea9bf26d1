"""Who counts as the same practitioner: one group and specialty is one to the payer, and where nobody states the specialty it is not known."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rules_service.findings.evaluation import Judgement
from rules_service.packs.read import read_pack
from rules_service.packs.samples import memory_edition, sample_editions
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.lookups import Edition
from rules_service.rules.kinds.provider_roster import ROSTER_COLUMNS
from tests.acceptance.test_rows import judged, row_claim
from tests.engine.test_unused_parameters import said
from tests.support.server import PACKS

ONE, OTHER = "1234567893", "1467560003"
FAMILY, SURGERY = "207Q00000X", "208600000X"


def by(npi: str, taxonomy: str | None) -> dict[str, Any]:
    return {"rendering": {"npi": npi, "taxonomy_code": taxonomy} if taxonomy else {"npi": npi}}


def visit_and_operation(visitor: str | None, surgeon: str | None) -> Judgement:
    """A visit on the day of a major operation, by two practitioners of one group."""
    lines = [
        {"procedure_code": "P9213", "providers": by(OTHER, visitor)},
        {"procedure_code": "P4090", "providers": by(ONE, surgeon)},
    ]
    return judged(row_claim({"id": "x", "pack": "medicare_part_b", "base": "office-visit", "date": "2026-11-20", "lines": lines}))


def of_global_period(told: Judgement) -> tuple[set[str], set[str]]:
    """(finding codes, reasons of what was not judged) of the rule of global periods."""
    return {one.code for one in told.findings if one.code.startswith("global.")}, {
        one.reason for one in told.not_evaluated if one.rule_id == "MCR-GLB-001"
    }


def test_practitioners_of_one_group_and_specialty_are_one() -> None:
    found, unjudged = of_global_period(visit_and_operation(FAMILY, FAMILY))
    assert (bool(found), unjudged) == (True, set())


def test_practitioners_of_two_specialties_are_two() -> None:
    assert of_global_period(visit_and_operation(FAMILY, SURGERY)) == (set(), set())


@pytest.mark.parametrize(("visitor", "surgeon"), [(None, FAMILY), (FAMILY, None), (None, None)])
def test_where_the_claim_does_not_state_both_specialties_it_is_not_known(visitor: str | None, surgeon: str | None) -> None:
    told = visit_and_operation(visitor, surgeon)
    assert of_global_period(told) == (set(), {"specialty_not_known"})
    assert {one.supply for one in told.not_evaluated if one.reason == "specialty_not_known"} == {
        "service_lines.providers.rendering.taxonomy_code"
    }


def roster(*rows: tuple[str, str]) -> Edition:
    columns = tuple((name, "text") for name in ROSTER_COLUMNS)
    blob = write_code_table([Row(npi, date(2020, 1, 1), None, ("enrolled", "par", specialty)) for npi, specialty in rows], columns)  # type: ignore[arg-type]
    return memory_edition("medicare_part_b/roster", "test", blob, EffectivePeriod(date(2020, 1, 1)))


@pytest.mark.parametrize(("theirs", "fires"), [(FAMILY, True), (SURGERY, False)])
def test_the_payers_roster_states_the_specialty_the_claim_leaves_out(theirs: str, fires: bool) -> None:
    lines = [
        {"procedure_code": "P9213", "charge_amount": "50.00", "providers": by(OTHER, None)},
        {"procedure_code": "P4090", "charge_amount": "50.00", "providers": by(ONE, None)},
    ]
    editions = [*sample_editions(PACKS / "reference_samples"), *read_pack(PACKS / "medicare_part_b").editions()]
    told = said("MCR-GLB-001", {"roster": "medicare_part_b/roster"}, [*editions, roster((ONE, FAMILY), (OTHER, theirs))], lines=lines)
    found, unjudged = of_global_period(told)
    assert (bool(found), unjudged - {"history_not_supplied"}) == (fires, set())


VISITS = ["99213", "99214"]


@pytest.mark.parametrize(("earlier", "fires"), [("99213", True), ("J0120", False)])
def test_what_is_beyond_a_limit_whoever_the_others_are_is_told(earlier: str, fires: bool) -> None:
    """A second visit of the day by one practitioner, beside a visit by somebody whose specialty is not stated."""
    lines = [{"procedure_code": code, "providers": by(npi, None)} for code, npi in zip(VISITS, (OTHER, ONE), strict=True)]
    history = [
        {"status": "paid", "line": {"procedure_code": earlier, "service_from": "2026-11-20", "unit_count": "1", "rendering_npi": ONE, "billing_npi": ONE}}
    ]  # fmt: skip
    row = {"id": "x", "pack": "medicare_part_b", "base": "office-visit", "date": "2026-11-20", "lines": lines}
    told = judged(row_claim(row | {"claim": {"context": {"history": history}}}))
    assert ((2,) in [one.line_numbers for one in told.findings if one.code == "freq.period"]) is fires
    unjudged = {one.line_numbers for one in told.not_evaluated if (one.rule_id, one.reason) == ("MCR-VIS-005", "specialty_not_known")}
    assert bool(unjudged) is not fires


def test_two_procedures_of_one_day_ask_for_no_specialty() -> None:
    """No finding of a global period can come of them."""
    lines = [{"procedure_code": code, "providers": by(npi, None)} for code, npi in (("P4090", OTHER), ("P4010", ONE))]
    told = judged(row_claim({"id": "x", "pack": "medicare_part_b", "base": "office-visit", "date": "2026-11-20", "lines": lines}))
    assert of_global_period(told) == (set(), set())
