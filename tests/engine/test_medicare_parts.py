"""Hospitals bill outpatient services to the contractor of Part A: they are judged as those billed to Part B, and stays as stays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.test_rows import judged, row_claim

PAIR = [{"procedure_code": "P1011"}, {"procedure_code": "P1012"}]
ADD_ON = [{"procedure_code": "P3001"}]
UNITS = [{"procedure_code": "P2002", "unit_count": "9"}]
LATE = "2028-03-01T10:00:00-05:00"
LATER_PAYER = {"payer_responsibility": "secondary", "other_payers": [{"payer_id": "X1", "responsibility": "primary"}]}


def told(payer_id: str, bill: str, lines: list[dict[str, Any]], **claim: Any) -> set[tuple[str, str]]:
    """(rule, code) of the findings on a bill of an outpatient department, Medicare's own filing indicator on it."""
    claim["payer"] = {"payer_id": payer_id, "claim_filing_indicator_code": "MA"}
    row = {"id": "x", "pack": "medicare_part_b", "base": "outpatient-hospital", "date": "2026-11-20", "lines": lines}
    institutional = {"type_of_bill": bill, "statement_from": "2026-11-20", "statement_through": "2026-11-20"}
    found = judged(row_claim({**row, "claim": {"institutional": institutional, **claim}})).findings
    return {(one.rule_id, one.code) for one in found}


@pytest.mark.parametrize(
    ("lines", "claim", "code"),
    [
        (PAIR, {}, "ncci.ptp"),
        (ADD_ON, {}, "aoc.no_primary"),
        (UNITS, {}, "mue.mai2"),
        ([{}], {"received_at": LATE}, "tf.expired"),
        ([{}], LATER_PAYER, "cob.no_primary_info"),
    ],
)
def test_an_outpatient_bill_is_judged_alike_whichever_part_it_names(lines: list[dict[str, Any]], claim: dict[str, Any], code: str) -> None:
    to_part_a, to_part_b = (told(payer, "0131", lines, **claim) for payer in ("MEDA", "MEDB"))
    assert code in {one for _, one in to_part_a}
    assert to_part_a == to_part_b


@pytest.mark.parametrize("lines", [PAIR, ADD_ON, UNITS])
def test_a_stay_has_no_edits_of_outpatient_departments(lines: list[dict[str, Any]]) -> None:
    assert not {code for _, code in told("MEDA", "0111", lines) if code.startswith(("ncci.", "aoc.", "mue."))}


def test_a_stay_is_paid_by_part_a_and_is_late_and_secondary_as_other_bills_are() -> None:
    assert ("MCR-PAY-001", "wrong.payer") in told("MEDB", "0111", [{}])
    assert "wrong.payer" not in {code for _, code in told("MEDA", "0111", [{}])}
    assert {("MCR-TF-002", "tf.expired")} <= told("MEDA", "0111", [{}], received_at=LATE)
    assert "cob.no_primary_info" in {code for _, code in told("MEDA", "0111", [{}], **LATER_PAYER)}


def earlier(payer_id: str, **line: str) -> dict[str, Any]:
    whose = {"billing_npi": "1234567893", "rendering_npi": "1234567893", "service_from": "2026-11-20", "service_through": "2026-11-20"}
    return {"context": {"history": [{"status": "paid", "payer_id": payer_id, "line": {**whose, "unit_count": "1", **line}}]}}


@pytest.mark.parametrize(("payer_id", "is_one"), [("MEDB", True), ("MEDA", True), ("EXAMPLE01", False)])
def test_what_the_other_part_was_billed_counts_and_what_another_payer_was_does_not(payer_id: str, is_one: bool) -> None:
    lines = [{"procedure_code": "P1001"}, {"procedure_code": "P9213"}]
    same = earlier(payer_id, procedure_code="P1001", revenue_code="0450", charge_amount="100.00")
    assert ("MCR-DUP-001" in {rule for rule, _ in told("MEDA", "0131", lines, **same)}) is is_one
    screening = earlier(payer_id, procedure_code="P6001")
    assert ("MCR-FRQ-001" in {rule for rule, _ in told("MEDA", "0131", [{"procedure_code": "P6001"}], **screening)}) is is_one
