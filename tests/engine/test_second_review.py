"""Edits that a second review found wrong once: whose deadline, which finding leads, what an earlier line leaves open, what a patch may say."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest

from rules_service.claim.codec import encode_json
from rules_service.engine.clean_change import patched
from rules_service.engine.decide import oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.explanation import explanation
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.engine.remedies import remedies
from rules_service.findings.collapse import collapse
from rules_service.reference.lookups import Lookups
from rules_service.rules.selection import StandingRule, standing
from tests.acceptance.test_rows import HOLD, ROWS, judged, row_claim, snapshot
from tests.engine.test_reviewed_edits import DAY, NPI, codes, history, told

RENDERING = {"entity_type": "1", "npi": "1467560003", "taxonomy_code": "207Q00000X"}


def days(**lines: str) -> list[dict[str, Any]]:
    return [{"service_from": day, "service_through": day} for day in lines.values()]


def found(judgement: Any, code: str) -> Any:
    return next(one for one in judgement.findings if one.code == code)


def found_codes(judgement: Any) -> list[str]:
    return [one.code for one in judgement.findings]


def test_each_line_is_told_by_its_own_filing_deadline() -> None:
    judgement = told("example_commercial_ppo", days(one="2026-11-10", two="2026-11-30"), received_at="2027-03-01T10:00:00-05:00")
    expired = found(judgement, "tf.expired")
    assert expired.line_numbers == (1, 2)
    assert "2027-02-08" in expired.message
    assert "the last of them has 2027-02-28" in expired.message


def test_the_day_to_fix_by_is_the_line_s_own() -> None:
    lines = [
        {"procedure_code": "P9213", "service_from": "2026-11-10", "service_through": "2026-11-10"},
        {"procedure_code": "P4702", "service_from": "2026-11-20", "service_through": "2026-11-20"},
    ]
    alone = found(told("medicare_part_b", lines[1:]), "status.not_covered")
    assert found(told("medicare_part_b", lines), "status.not_covered").fix_by == alone.fix_by == date(2027, 11, 22)


def test_an_exception_that_needs_its_evidence_gives_until_the_extended_day() -> None:
    exception = {"exception": {"code": "retroactive_entitlement", "notice_date": "2026-06-10"}}
    line = days(one="2025-11-03")
    unproven = found(told("medicare_part_b", line, submission=exception, received_at="2026-11-23T10:00:00-05:00"), "tf.exception_unproven")
    assert (unproven.fix_by, unproven.days_remaining) == (date(2026, 12, 31), 38)
    lapsed = {"exception": {"code": "retroactive_entitlement", "notice_date": "2026-05-10", "evidence": "notice"}}
    late = found(told("medicare_part_b", line, submission=lapsed, received_at="2026-12-10T10:00:00-05:00"), "tf.expired")
    assert late.message.endswith("extended it through 2026-11-30 only.")


def test_a_filing_rule_that_leaves_the_claim_out_gives_no_day_to_fix_by() -> None:
    claim = row_claim({"id": "x", "pack": "example_commercial_ppo", "base": "two-procedures", "date": "2026-07-02"})
    policy, view = snapshot().policy_for(claim)
    changed = []
    for one in policy.publications:
        contents = {
            sha: msgspec.structs.replace(content, when={"fact": "line.procedure_code", "is": "NEVER"})
            if content.rule_id == "EX1-TF-001"
            else content
            for sha, content in one.contents.items()
        }
        changed.append(Publication(one.rule_set_id, one.number, one.sha256, one.manifest, contents))
    told = judge(Policy(changed, "professional", SliceCache()), view, Lookups(snapshot().editions), HOLD, oracle_decider).judgement
    assert found(told, "ncci.ptp").fix_by is None


def test_a_rule_that_takes_the_place_of_another_answers_for_what_that_had_overridden() -> None:
    content = next(iter(snapshot().publications[0].contents.values()))

    def rule(rule_id: str, rank: int, *overrides: str) -> StandingRule:
        return StandingRule(
            msgspec.structs.replace(content, rule_id=rule_id, overrides=overrides, disables=(), stage="stable"),
            1,
            "",
            "set",
            "payer",
            (rank,),
        )

    kept, losers = standing([rule("NATIONAL", 0), rule("PAYER", 1, "NATIONAL"), rule("PLAN", 2, "PAYER")])
    assert [one.content.rule_id for one in kept] == ["PLAN"]
    assert {one.rule_id: one.by for one in losers} == {"NATIONAL": "PAYER", "PAYER": "PLAN"}


def test_a_line_billed_twice_leads_the_unit_limit_it_causes_and_puts_no_money_at_risk() -> None:
    judgement = told("medicare_part_b", [{"procedure_code": "P2002", "unit_count": "2"}] * 2)
    duplicate, units = found(judgement, "dup.line"), found(judgement, "mue.mai2")
    assert units.suppressed_by == duplicate.finding_id
    assert str(judgement.total_amount_at_risk) == str(duplicate.amount_at_risk) == "0.00"


def test_what_is_suppressed_holds_the_claim_only_where_its_lead_does() -> None:
    judgement = told("medicare_part_b", [{"procedure_code": "P4702", "modifiers": ["GA"]}])
    assert all(not one.blocking for one in judgement.findings if one.suppressed_by == found(judgement, "status.patient_liable").finding_id)


@pytest.mark.parametrize(
    ("now", "earlier", "wanted"),
    [
        ({"procedure_code": "99292"}, {"procedure_code": "99291", "rendering_npi": NPI}, []),
        ({"procedure_code": "P9213"}, {"procedure_code": "P4090", "rendering_npi": "1467560003", "billing_npi": NPI}, ["context_not_supplied"]),
        ({"procedure_code": "P9213"}, {"procedure_code": "P4090", "rendering_npi": "1467560003", "billing_npi": "1003000126"}, []),
    ],
    ids=["the same person", "a colleague of unknown specialty", "another group"],
)  # fmt: skip
def test_what_an_earlier_line_does_not_say_is_not_read_as_somebody_else(
    now: dict[str, Any], earlier: dict[str, Any], wanted: list[str]
) -> None:
    judgement = told("medicare_part_b", [now], context=history(earlier))
    assert not [one.code for one in judgement.findings if one.code.startswith(("aoc.", "global."))]
    unjudged = {one.reason for one in judgement.not_evaluated if one.rule_id in ("MCR-AOC-001", "MCR-GLB-001")}
    assert sorted(unjudged) == wanted


def test_a_facility_s_add_on_belongs_to_its_primary_whoever_rendered_either() -> None:
    lines = [{"procedure_code": "P3001", "providers": {"rendering": RENDERING}}, {"procedure_code": "P3000"}]
    assert "aoc.no_primary" not in codes("medicare_part_b", lines, base="outpatient-hospital")


def test_a_visit_beside_a_procedure_is_told_to_take_25_and_told_once() -> None:
    judgement = told("medicare_part_b", [{"procedure_code": "P1010"}, {"procedure_code": "P9213"}])
    pair = found(judgement, "ncci.ptp")
    assert pair.expected["modifiers_any_of"] == ["24", "25", "57"]
    assert any("append 25" in fix.label for fix in pair.fixes)
    assert not any("59" in fix.label for fix in pair.fixes)


@pytest.mark.parametrize(
    ("paid", "way"), [("P1002", "reopen the earlier claim to add the modifier"), ("P1003", "No modifier separates the pair")]
)
def test_a_modifier_is_advised_for_column_two_paid_earlier_only_where_one_separates_the_pair(paid: str, way: str) -> None:
    earlier = history({"procedure_code": paid, "rendering_npi": NPI, "billing_npi": NPI})
    prior = found(told("medicare_part_b", [{"procedure_code": "P1001"}], context=earlier), "ncci.ptp.prior_column_two")
    assert len(prior.fixes) == 1
    assert way in prior.fixes[0].label


def test_the_same_side_is_seen_against_an_earlier_claim_too() -> None:
    earlier = history({"procedure_code": "P1001", "modifiers": ["RT"], "billing_npi": NPI})
    line = {"procedure_code": "P1002", "modifiers": ["RT"]}
    assert "ncci.ptp.same_side" in codes("example_commercial_ppo", [line], context=earlier)


def test_places_of_service_and_laboratories_of_the_header_are_pointed_to_there() -> None:
    header = found(told("medicare_part_b", [{"procedure_code": "P9281"}], place_of_service_code="21"), "pos.mismatch")
    assert header.location.json_pointer == "/place_of_service_code"
    own = found(told("medicare_part_b", [{"procedure_code": "P9281", "place_of_service_code": "21"}]), "pos.mismatch")
    assert own.location.json_pointer == "/service_lines/0/place_of_service_code"
    laboratory = found(told("medicare_part_b", [{"procedure_code": "P8001"}], clia_number="11X2030855"), "prov.clia_format")
    assert laboratory.location.json_pointer == "/clia_number"


def test_a_replacement_s_missing_number_is_pointed_to_where_it_belongs() -> None:
    number = found(told("national_baseline", [{"procedure_code": "P9213"}], claim_frequency_code="7"), "corr.no_icn")
    assert number.location.json_pointer == "/payer_claim_control_number"


def holder(document: Any, path: str) -> tuple[Any, Any]:
    """(container, key) of a JSON pointer; KeyError or IndexError where the container is not there."""
    *above, last = path.removeprefix("/").split("/")
    for step in above:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document, int(last) if isinstance(document, list) else last


def test_every_remedy_changes_only_what_is_there_or_adds_it_as_rfc_6902_says() -> None:
    """RFC 6902 section 4: the target of replace and remove exists, that of add has a container, and so has the source of copy a value."""
    tried = 0
    for row in ROWS:
        claim = row_claim(row)
        for finding in judged(claim).findings:
            for fix in remedies(claim, finding):
                document = json.loads(encode_json(claim))
                for operation in fix.patch or ():
                    container, key = holder(document, operation.path)
                    if operation.op == "copy":
                        source, name = holder(document, str(operation.from_))
                        assert source[name] is not None, fix
                        container[key] = source[name]
                    elif operation.op == "remove":
                        del container[key]
                    elif operation.op == "replace":
                        assert container[key] is not None, fix
                    else:
                        assert (operation.op, type(container)) == ("add", dict), fix
                        container[key] = operation.value
                assert patched(claim, fix) is not None, fix
                tried += 1
    assert tried > 20


def test_no_place_of_service_is_proposed() -> None:
    """Where a patient was is not for a machine to say."""
    for line in ({"procedure_code": "P9213", "place_of_service_code": "21"}, {"procedure_code": "P9221", "place_of_service_code": "11"}):
        claim = row_claim({"id": "x", "pack": "medicare_part_b", "base": "office-visit", "lines": [line]})
        patches = [fix for finding in judged(claim).findings for fix in remedies(claim, finding) if "place_of_service" in str(fix.patch)]
        assert patches == []


def test_the_day_of_discharge_is_outside_the_payment_window() -> None:
    stay = history({"revenue_code": "0120", "service_from": "2026-11-18", "service_through": DAY, "billing_npi": NPI})
    assert "inst.payment_window" not in codes("medicare_part_b", [{"revenue_code": "0450"}], base="outpatient-hospital", context=stay)
    begins = history({"revenue_code": "0120", "service_from": DAY, "service_through": "2026-11-22", "billing_npi": NPI})
    assert "inst.payment_window" in codes("medicare_part_b", [{"revenue_code": "0450"}], base="outpatient-hospital", context=begins)
    other = history({"revenue_code": "0120", "service_from": DAY, "service_through": "2026-11-22", "billing_npi": NPI}, payer_id="60054")
    assert "inst.payment_window" not in codes("medicare_part_b", [{"revenue_code": "0450"}], base="outpatient-hospital", context=other)


def test_an_add_on_falls_with_its_primary_and_its_money_too() -> None:
    judgement = told("medicare_part_b", [{"procedure_code": "P3001"}, {"procedure_code": "P3000", "modifiers": ["62"]}])
    lead, falls = found(judgement, "co_surgeon.not_paid"), found(judgement, "aoc.primary_denied")
    assert (falls.line_numbers, falls.related_line_numbers, falls.suppressed_by) == ((1,), (2,), lead.finding_id)
    assert str(judgement.total_amount_at_risk) == "200.00"
    paid = told("medicare_part_b", [{"procedure_code": "P3001"}, {"procedure_code": "P3000"}])
    assert not found_codes(paid)


def test_the_explanation_shows_what_turned_on_the_denial_of_another_line() -> None:
    lines = [{"procedure_code": "P3001"}, {"procedure_code": "P3000", "modifiers": ["62"]}]
    claim = row_claim({"id": "x", "pack": "medicare_part_b", "base": "office-visit", "lines": lines})
    branches = [
        branch
        for rule in explanation(*snapshot().policy_for(claim), Lookups(snapshot().editions))
        for branch in rule.get("branches", ())
        if branch["code"] == "aoc.primary_denied" and rule["line_numbers"] == [1]
    ]
    assert [branch["result"] for branch in branches] == ["true"]


def test_a_visit_that_wants_25_is_not_told_to_keep_the_note_of_the_procedure_s_modifier() -> None:
    any_finding = told("example_commercial_ppo", days(one="2025-11-10")).findings[0]
    visit, separated = (
        msgspec.structs.replace(any_finding, finding_id=number, code=code, line_numbers=(1,), suppresses=(), suppressed_by=None)
        for number, code in (("f1", "global.visit_same_day"), ("f2", "ncci.ptp.bypassed"))
    )
    lead, follows = collapse([(visit, frozenset()), (separated, frozenset())])
    assert (lead.suppresses, follows.suppressed_by) == (("f2",), "f1")
    alone = collapse([(separated, frozenset())])
    assert alone[0].suppressed_by is None


def linked(lead: str, follower: str, places: tuple[str, str] = ("", "")) -> bool:
    """Whether the second of two findings of line 1 follows from the first."""
    any_finding = told("example_commercial_ppo", days(one="2025-11-10")).findings[0]
    both = [
        msgspec.structs.replace(
            any_finding,
            finding_id=number,
            code=code,
            line_numbers=(1,),
            suppresses=(),
            suppressed_by=None,
            location=msgspec.structs.replace(any_finding.location, json_pointer=place),
        )
        for number, code, place in zip(("f1", "f2"), (lead, follower), places, strict=True)
    ]
    return collapse([(one, frozenset()) for one in both])[1].suppressed_by == "f1"


@pytest.mark.parametrize(
    ("lead", "follower"),
    [
        ("fmt.dob_future", "fmt.dob_after_service"),
        ("fmt.dob_future", "age.proc"),
        ("dx.missing", "dx.pointer"),
        ("dx.missing", "dx.pointer_missing"),
        ("fmt.same_person_twice", "elig.medicare_dependent"),
        ("pos.invalid", "pos.mismatch"),
        ("pos.invalid", "telehealth.place"),
        ("proc.invalid_dos", "pos.mismatch"),
        ("proc.clinic_visit", "status.not_recognized"),
        ("status.inpatient_only", "auth.missing"),
        ("status.not_recognized", "mue.not_payable"),
    ],
)
def test_one_cause_is_told_once(lead: str, follower: str) -> None:
    assert linked(lead, follower)
    assert not linked(follower, lead)


def test_a_wrong_npi_explains_only_what_is_said_of_that_npi() -> None:
    ordering, billing = "/providers/ordering/npi", "/providers/billing/npi"
    assert linked("fmt.npi_checksum", "prov.orderer_not_enrolled", (ordering, ordering))
    assert not linked("fmt.npi_checksum", "prov.orderer_not_enrolled", (billing, ordering))


@pytest.mark.parametrize("cause", ["ncci.ptp", "mue.mai3"])
def test_a_visit_too_many_follows_from_the_edit_of_its_line(cause: str) -> None:
    edit, visit = (
        msgspec.structs.replace(found(told("medicare_part_b", [{"procedure_code": "99213", "unit_count": "3"}]), "freq.period"), **named)
        for named in ({"finding_id": "f1", "code": cause}, {"finding_id": "f2"})
    )
    lead, follows = collapse([(edit, frozenset()), (visit, frozenset())])
    assert (lead.suppresses, follows.suppressed_by) == (("f2",), "f1")


def test_a_category_is_told_how_many_characters_it_lacks() -> None:
    diagnosis = {"sequence": 1, "code": "E11", "type": "principal"}
    message = found(told("medicare_part_b", [{}], diagnoses=[diagnosis]), "dx.unspecified_length").message
    assert "(1 to 2 more characters)" in message


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ({"procedure_code": "G0297"}, "proc.invalid_dos", "It ended on 2020-12-31."),
        ({"modifiers": ["JG"]}, "mod.invalid_dos", "It ended on 2024-12-31."),
        (
            {"modifiers": ["FQ"], "service_from": "2021-06-01", "service_through": "2021-06-01"},
            "mod.invalid_dos",
            "It begins on 2022-01-01.",
        ),
    ],
)
def test_what_is_not_in_effect_is_told_with_the_day_on_which_it_ended_or_begins(line: dict[str, Any], code: str, said: str) -> None:
    assert said in found(told("medicare_part_b", [line]), code).message


def test_a_cause_that_several_lines_point_to_first_is_told_once_with_those_lines() -> None:
    diagnoses = [
        {"sequence": n, "code": code, "type": "principal" if n == 1 else "secondary"} for n, code in ((1, "J06.9"), (2, "W01.0XXA"))
    ]
    lines = [
        {"procedure_code": code, "diagnosis_pointers": pointers}
        for code, pointers in (("P9213", [2, 1]), ("P1001", [1, 2]), ("P1003", [2]))
    ]
    assert found(told("national_baseline", lines, diagnoses=diagnoses), "dx.first_listed").line_numbers == (1, 3)


def test_one_line_with_modifier_50_is_advised_only_for_two_sides_of_this_claim() -> None:
    side = {"procedure_code": "P4501", "unit_count": "1", "rendering_npi": NPI, "billing_npi": NPI, "modifiers": ["RT"]}
    beside = found(
        told("medicare_part_b", [{"procedure_code": "P4501", "modifiers": ["LT"]}], context=history(side)), "mue.mai2.cross_claim"
    )
    assert not any("modifier 50" in one.label for one in beside.fixes)


def test_a_void_of_a_claim_that_was_only_rejected_is_not_turned_into_a_claim() -> None:
    row = {
        "id": "x",
        "pack": "example_commercial_ppo",
        "base": "office-visit",
        "claim": {"claim_frequency_code": "8", "submission": {"prior": [{"status": "rejected"}]}},
    }
    claim = row_claim(row)
    (void,) = (one for one in judged(claim).findings if one.code.startswith("corr."))
    assert void.code == "corr.nothing_to_void"
    assert remedies(claim, void) == []
