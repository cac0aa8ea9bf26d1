"""Details of edits that a review found wrong once: whose units, which version of a claim, what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.test_rows import judged, row_claim

DAY = "2026-11-20"
NPI = "1234567893"


def codes(pack: str, lines: list[dict[str, Any]], base: str = "office-visit", **claim: Any) -> list[str]:
    """Finding codes of a claim of a shipped pack."""
    return [finding.code for finding in told(pack, lines, base, **claim).findings]


def told(pack: str, lines: list[dict[str, Any]], base: str = "office-visit", **claim: Any) -> Any:
    return judged(row_claim({"id": "x", "pack": pack, "base": base, "claim": claim, "lines": lines}))


def history(*lines: dict[str, Any], **entry: Any) -> dict[str, Any]:
    return {"history": [{"status": "paid", **entry, "line": {"service_from": DAY, "rendering_npi": NPI, **line}} for line in lines]}


def record(code: str, approved: str, **more: str) -> dict[str, Any]:
    return {
        "number": "AUTH123",
        "status": "approved",
        "codes": [code],
        "from": "2026-01-01",
        "through": "2026-12-31",
        "units_approved": approved,
        **more,
    }


AUTHORIZED = {"prior_authorization_numbers": ["AUTH123"]}


def test_records_that_share_a_number_have_units_of_their_own() -> None:
    store = [record("P7001", "2", units_used="0"), record("P7003", "2", units_used="0")]
    lines = [{"procedure_code": code, "unit_count": "2"} for code in ("P7001", "P7003")]
    assert "auth.exceeded" not in codes("example_commercial_ppo", lines, context={"history": [], "authorizations": store}, **AUTHORIZED)
    lines = [{"procedure_code": "P7001", "unit_count": "2"}]
    earlier = history({"procedure_code": "P7003", "unit_count": "2", "prior_authorization_number": "AUTH123"})
    context = {**earlier, "authorizations": [record("P7001", "2")]}
    assert "auth.exceeded" not in codes("example_commercial_ppo", lines, context=context, **AUTHORIZED)


def test_a_replacement_does_not_use_up_the_units_of_what_it_replaces() -> None:
    line = {"procedure_code": "P7001", "unit_count": "2"}
    earlier = history({**line, "prior_authorization_number": "AUTH123"}, payer_claim_control_number="ICN-1")
    context = {**earlier, "authorizations": [record("P7001", "2", units_used="2")]}
    replacement = {"claim_frequency_code": "7", "payer_claim_control_number": "ICN-1", "submission": {"prior": [{"status": "paid"}]}}
    assert "auth.exceeded" not in codes("example_commercial_ppo", [line], context=context, **AUTHORIZED, **replacement)
    assert "auth.exceeded" in codes("example_commercial_ppo", [line], context=context, **AUTHORIZED)


@pytest.mark.parametrize(
    ("status", "code"),
    [("Active", None), ("1", None), ("active", None), ("6", "elig.inactive"), ("Terminated", "elig.inactive"), ("odd", None)],
)
def test_coverage_is_active_in_words_and_as_x12_says_it(status: str, code: str | None) -> None:
    answer = {"checked_at": "2026-11-20T08:00:00Z", "spans": [{"from": "2026-01-01", "status": status}]}
    judgement = told("medicare_part_b", [{}], context={"history": [], "eligibility": answer})
    assert [one.code for one in judgement.findings if one.code in ("elig.inactive", "elig.before", "elig.after")] == (
        [code] if code else []
    )
    unsure = {one.reason for one in judgement.not_evaluated if one.rule_id.startswith("MCR-ELIG")}
    assert ("context_not_supplied" in unsure) >= (status == "odd")


def test_a_secondary_claim_may_be_a_replacement_too() -> None:
    earlier = history({"procedure_code": "P9213", "charge_amount": "100.00", "unit_count": "1"}, payer_claim_control_number="ICN-1")
    secondary = {
        "claim_frequency_code": "7", "payer_claim_control_number": "ICN-1", "payer_responsibility": "secondary",
        "submission": {"type": "secondary", "prior": [{"status": "paid"}]},
    }  # fmt: skip
    assert "dup.exact" not in codes("example_commercial_ppo", [{}], context=earlier, **secondary)


def test_a_service_whose_practitioner_is_not_said_is_suspected_only() -> None:
    line = {"procedure_code": "P9213", "charge_amount": "100.00", "unit_count": "1", "rendering_npi": None, "billing_npi": NPI}
    another = {"rendering": {"npi": "1467560003", "taxonomy_code": "207R00000X"}}
    found = codes("medicare_part_b", [{}], context=history(line), providers=another)
    assert [code for code in found if code.startswith("dup.")] == ["dup.suspect"]


@pytest.mark.parametrize(("earlier", "found", "unsure"), [("P9213", True, False), ("80053", False, True)])
def test_a_patient_was_seen_when_the_service_was_face_to_face(earlier: str, found: bool, unsure: bool) -> None:
    context = history({"procedure_code": earlier, "service_from": "2026-01-10"})
    judgement = told("medicare_part_b", [{"procedure_code": "P9203"}], context=context)
    assert ("visit.not_new" in [one.code for one in judgement.findings]) is found
    assert bool([one for one in judgement.not_evaluated if one.rule_id.startswith("MCR-NEW")]) is unsure


def test_a_test_of_technical_work_only_gets_no_advice_for_26() -> None:
    assert "component.facility_global" not in codes("medicare_part_b", [{"procedure_code": "P4602"}], place_of_service_code="22")
    assert "component.facility_global" in codes("medicare_part_b", [{"procedure_code": "P4601"}], place_of_service_code="22")
    assert "component.facility_global" not in codes("medicare_part_b", [{"procedure_code": "P4601"}], place_of_service_code="31")


def test_a_referral_is_not_asked_for_when_the_specialty_is_not_known() -> None:
    unknown = told(
        "example_commercial_hmo", [{}], payer={"product": "HMO"}, providers={"rendering": {"npi": "1003000134", "taxonomy_code": ""}}
    )
    assert "referral.missing" not in [one.code for one in unknown.findings]
    assert [one.reason for one in unknown.not_evaluated if one.code == "referral.missing"] == ["context_not_supplied"]


def test_a_service_billed_for_a_later_day_counts_in_the_period() -> None:
    later = history({"procedure_code": "P6003", "service_from": "2026-11-21", "unit_count": "1"})
    assert "freq.lifetime" in codes("medicare_part_b", [{"procedure_code": "P6003"}], context=later)


def test_a_remainder_says_nothing_of_an_interval_nor_of_another_period() -> None:
    for code, period in (("P6004", None), ("P6003", "day")):
        reported = {"benefits_remaining": [{"procedure_code": code, "quantity": "0", "period": period}]}
        judgement = told("medicare_part_b", [{"procedure_code": code}], context={"history": None, "eligibility": reported})
        assert not [one.code for one in judgement.findings if one.code.startswith("freq.")]
        assert [one for one in judgement.not_evaluated if one.code.startswith("freq.")]


def test_lines_dated_by_the_claim_are_repeated_in_its_replacement() -> None:
    lines = [{"procedure_code": None, "service_from": None, "service_through": None}] * 2
    earlier = {"history": [
        {"status": "paid", "payer_claim_control_number": "ICN-1", "line": {"line_number": number, "revenue_code": "0450"}} for number in (1, 2)
    ]}  # fmt: skip
    replacement = {"claim_frequency_code": "7", "payer_claim_control_number": "ICN-1", "submission": {"prior": [{"status": "paid"}]}}
    assert "corr.lines_missing" not in codes("medicare_part_b", lines, base="outpatient-hospital", context=earlier, **replacement)


@pytest.mark.parametrize(("received", "threshold"), [("2026-11-20", 7), ("2026-11-16", 30), ("2026-10-20", 60)])
def test_a_deadline_that_is_near_tells_the_narrowest_threshold_it_has_reached(received: str, threshold: int) -> None:
    claim = row_claim(
        {"id": "x", "pack": "medicare_part_b", "base": "office-visit", "date": "2025-11-24", "received": f"{received}T10:00:00-05:00"}
    )
    (near,) = [one for one in judged(claim).findings if one.code == "tf.at_risk"]
    assert near.facts["warn_within_days"] == threshold


def place(told: Any, code: str) -> tuple[str, str | None, str | None, str | None]:
    (found,) = [one.location for one in told.findings if one.code == code]
    return found.json_pointer, found.x12, found.fhir, found.form


def test_a_finding_about_a_dependent_points_to_the_dependent_and_one_about_the_subscriber_to_the_subscriber() -> None:
    child = {"relationship_code": "19", "last_name": "SAMPLE", "birth_date": "2026-12-01", "sex": "F"}
    dependent = told("example_commercial_ppo", [{}], subscriber={"relationship_code": ""}, patient=child)
    assert place(dependent, "fmt.dob_future") == ("/patient/birth_date", "2010CA/DMG02", "Patient.birthDate", "CMS-1500 3")
    subscriber = told("example_commercial_ppo", [{}], subscriber={"birth_date": "2026-12-01"})
    assert place(subscriber, "fmt.dob_future")[:2] == ("/subscriber/birth_date", "2010BA/DMG02")
    assert place(told("example_commercial_ppo", [{}], subscriber={"sex": ""}), "fmt.sex_missing")[1] == "2010BA/DMG03"


def test_the_modifier_at_fault_is_named_by_its_slot() -> None:
    wrong = told("example_commercial_ppo", [{"modifiers": ["25", "Z9"]}])
    assert place(wrong, "mod.invalid_dos") == (
        "/service_lines/0/modifiers/1",
        "2400[1]/SV101-4",
        "Claim.item[0].modifier[1]",
        "CMS-1500 24D line 1",
    )


def test_diagnoses_of_a_hospital_claim_are_placed_by_their_type() -> None:
    diagnoses = [
        {"sequence": 1, "code": "J06.9", "type": "principal"},
        {"sequence": 2, "code": "J06.9", "type": "admitting"},
        {"sequence": 3, "code": "M17.11", "type": "secondary"},
        {"sequence": 4, "code": "ZZZ", "type": "secondary"},
    ]
    stay = told("medicare_part_a", [{}], "inpatient-stay", diagnoses=diagnoses)
    assert place(stay, "dx.not_icd10cm")[1:] == ("2300/HI*BF/HI02-2", "Claim.diagnosis[3].diagnosisCodeableConcept", "UB-04 FL67B")
    unmarked = [one.location for one in stay.findings if one.code == "dx.present_on_admission"]
    forms = {one.x12: one.form for one in unmarked}
    assert (forms["2300/HI*BK/HI01-9"], forms["2300/HI*BF/HI01-9"]) == ("UB-04 FL67", "UB-04 FL67A")
    assert place(told("medicare_part_a", [{}], "inpatient-stay", institutional={"patient_status": ""}), "inst.patient_status")[1:] == (
        "2300/CL103",
        "Claim.supportingInfo",
        "UB-04 FL17",
    )
