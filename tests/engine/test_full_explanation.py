"""Fixes that were tried and the smallest clean change, on every claim of the acceptance list and over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.engine.clean_change import MAX_CHANGES, MAX_JUDGEMENTS, patched, smallest_clean_change, tried_fixes
from rules_service.engine.remedies import remedies
from rules_service.findings.evaluation import Judgement
from rules_service.findings.finding import Fix
from tests.acceptance.test_rows import ROWS, judged, row_claim
from tests.support.builders import claim as built
from tests.support.builders import claim_bytes
from tests.support.server import ROOT, Server

NEVER_SAFE = re.compile(
    r"procedure_code|modifiers|unit_count|unit_basis|diagnos|_date|service_from|service_through|statement_|place_of_service|frequency"
)
IDS = [f"{row['id']} {row.get('note', '')}".strip() for row in ROWS]
JSON = {"Content-Type": "application/json"}
CLAIMS = [row_claim(row) for row in ROWS]


def holds(judgement: Judgement) -> bool:
    """Whether anything but remarks stands, or something was left unjudged that had to be judged."""
    return judgement.outcome != "clean" or any(one.severity != "info" and one.suppressed_by is None for one in judgement.findings)


def fewest(claim: Claim, depth: int) -> int | None:
    """The fewest changes by breadth-first search over every remedy of every finding, suppressed ones too."""
    level = [claim]
    for count in range(1, depth + 1):
        level = [
            changed
            for one in level
            for finding in judged(one).findings
            for fix in remedies(one, finding)
            if (changed := patched(one, fix)) is not None
        ]
        if any(not holds(judged(one)) for one in level):
            return count
    return None


@pytest.mark.parametrize("claim", CLAIMS, ids=IDS)
def test_a_fix_is_offered_only_when_its_finding_goes_and_none_comes(claim: Claim) -> None:
    judgement = judged(claim)
    before = [(finding.rule_id, finding.code, set(finding.line_numbers)) for finding in judgement.findings]
    ids = {finding.finding_id: finding for finding in judgement.findings}
    for fix in tried_fixes(claim, judgement, judged):
        changed = patched(claim, Fix(label=fix.label, class_=fix.class_, patch=fix.patch))
        assert changed is not None
        mended = ids[fix.finding_id]
        for finding in judged(changed).findings:
            assert finding.finding_key != mended.finding_key
            assert any((finding.rule_id, finding.code) == one[:2] and set(finding.line_numbers) <= one[2] for one in before)


@pytest.mark.parametrize("claim", CLAIMS, ids=IDS)
def test_the_smallest_clean_change_is_clean_and_nothing_smaller_is(claim: Claim) -> None:
    judgement = judged(claim)
    found, search = smallest_clean_change(claim, judgement, judged)
    assert (found is not None) == (search == "found")
    if not holds(judgement):
        assert found is not None
        assert found.changes == ()
        return
    assert fewest(claim, 2) == (len(found.changes) if found is not None and len(found.changes) <= 2 else None)
    if found is not None:
        assert 1 <= len(found.changes) <= MAX_CHANGES
        for change in found.changes:
            after = patched(claim, Fix(label=change.label, class_=change.class_, patch=change.patch))
            assert after is not None
            claim = after
        assert not holds(judged(claim))


def test_nothing_that_changes_a_code_modifier_unit_diagnosis_or_date_is_safe_to_apply_unseen() -> None:
    kinds = set()
    for claim in CLAIMS:
        for finding in judged(claim).findings:
            for fix in (*finding.fixes, *remedies(claim, finding)):
                for operation in fix.patch or ():
                    kinds.add(fix.class_)
                    if fix.class_ == "auto_safe":
                        assert not NEVER_SAFE.search(operation.path), (finding.code, operation.path)
                        assert operation.transformation is not None, "only a form of writing changes, never a value"
    assert kinds >= {"auto_safe", "data_entry", "needs_documentation"}


def test_five_changes_at_most_are_sought_and_the_work_is_bounded() -> None:
    (claim,) = [one for row, one in zip(ROWS, CLAIMS, strict=True) if row["id"] == "DX-08"][:1]
    judgement = judged(claim)
    calls = 0

    def never_clean(_: Claim) -> Judgement:
        nonlocal calls
        calls += 1
        return judgement

    assert smallest_clean_change(claim, judgement, never_clean) == (None, "gave_up" if calls == MAX_JUDGEMENTS else "none")
    assert calls <= MAX_JUDGEMENTS


def test_the_full_explanation_comes_with_the_answer_and_is_not_stored(server: Server) -> None:
    client = server.client()
    body = claim_bytes(total_charge_amount="1.00")
    plain = client.post("/v1/claims/validate", content=body, headers=JSON)
    answer = client.post("/v1/claims/validate", params={"explain": "full"}, content=body, headers=JSON)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    (finding,) = [one for one in told["findings"] if one["code"] == "bal.line_sum"]
    tried = [one for one in told["explanation"]["tried_fixes"] if one["finding_id"] == finding["finding_id"]]
    assert [one["patch"][0]["path"] for one in tried] == ["/total_charge_amount"]
    assert len(told["explanation"]["smallest_clean_change"]["changes"]) == 1
    assert {rule["rule_id"] for rule in told["explanation"]["rules"]} >= {finding["rule_id"]}
    document = json.loads((ROOT / "openapi/openapi.json").read_text())
    jsonschema.validate(told, {"$ref": "#/components/schemas/ExplainedEvaluation", "components": document["components"]})
    stored = client.get(f"/v1/evaluations/{told['evaluation_id']}").json()
    assert "explanation" not in stored
    assert [one["code"] for one in stored["findings"]] == [one["code"] for one in plain.json()["findings"]]
    wrong: httpx.Response = client.post("/v1/claims/validate", params={"explain": "some"}, content=body, headers=JSON)
    assert wrong.status_code == 400
    dry = client.post("/v1/claims/validate", params={"explain": "full", "mode": "dry_run"}, content=body, headers=JSON).json()
    assert dry["explanation"]["smallest_clean_change"] == told["explanation"]["smallest_clean_change"]


def test_a_line_may_be_removed_though_another_finding_is_of_all_lines() -> None:
    lines = [{"procedure_code": code, "service_from": "2026-09-01", "service_through": "2026-09-01"} for code in ("P1001", "P1002")]
    judgement = judged(built(lines=lines))
    assert [finding.code for finding in judgement.findings] == ["tf.at_risk", "ncci.ptp"]
    (fix,) = tried_fixes(built(lines=lines), judgement, judged)
    assert [operation.path for operation in fix.patch] == ["/service_lines/1", "/total_charge_amount"]


AUTHORIZED = {"number": "AUTH0001", "status": "approved", "codes": ["P7001"]}


@pytest.mark.parametrize(
    ("change", "code", "patch"),
    [
        ({"referral_number": "AUTH0001", "context": {"authorizations": [AUTHORIZED], "history": []}}, "auth.referral_number_used", ("/context/authorizations/0/number", "/service_lines/0/prior_authorization_number")),
        ({"context": {"authorizations": [{**AUTHORIZED, "codes": ["P9999"], "number": "AUTH0002"}, AUTHORIZED], "history": []}}, "auth.missing", ("/context/authorizations/1/number", "/service_lines/0/prior_authorization_number")),
        ({"prior_authorization_numbers": ["AUTH0001"], "context": {"authorizations": [AUTHORIZED], "history": []}, "claim_frequency_code": "7", "submission": {"prior": [{"status": "paid", "payer_claim_control_number": "ICN-1"}]}}, "corr.no_icn", ("/submission/prior/0/payer_claim_control_number", "/payer_claim_control_number")),
    ],
)  # fmt: skip
def test_an_identifier_that_is_elsewhere_in_the_request_is_copied_and_not_shown(
    change: dict[str, Any], code: str, patch: tuple[str, str]
) -> None:
    claim = row_claim(
        {"id": "x", "pack": "example_commercial_ppo", "base": "office-visit", "date": "2026-10-20", "lines": [{"procedure_code": "P7001"}], "claim": change}
    )  # fmt: skip
    judgement = judged(claim)
    assert code in {one.code for one in judgement.findings}
    found, search = smallest_clean_change(claim, judgement, judged)
    assert (search, found is not None) == ("found", True)
    (only,) = found.changes if found is not None else ()
    assert [(one.op, one.from_, one.path) for one in only.patch] == [("copy", *patch)]
    assert b"AUTH0001" not in encode_json(only)
    assert b"ICN-1" not in encode_json(only)
    assert only in tried_fixes(claim, judgement, judged)


def test_a_claim_that_was_only_rejected_is_sent_anew_though_it_has_no_control_number() -> None:
    row = next(row for row in ROWS if row["id"] == "COR-04" and "note" in row)
    claim = row_claim(row)
    found, search = smallest_clean_change(claim, judged(claim), judged)
    assert search == "found"
    assert found is not None
    assert [one.path for one in found.changes[0].patch] == ["/claim_frequency_code"]


@pytest.mark.parametrize(
    ("change", "line", "code"),
    [
        ({"diagnoses": [{"sequence": n, "code": code, "type": "principal" if n == 1 else "secondary"} for n, code in enumerate(("J06.9", "I10", "J06.9"), 1)]}, {"diagnosis_pointers": [3, 2]}, "dx.duplicate"),
        ({"patient": {"relationship_code": "18", "first_name": "JANE", "last_name": "SAMPLE", "birth_date": "1980-05-17", "sex": "F"}, "subscriber": {"first_name": "JANE", "last_name": "SAMPLE", "birth_date": "1980-05-17", "sex": "F"}}, {}, "fmt.same_person_twice"),
        ({}, {"modifiers": ["59", "59"]}, "mod.repeated"),
    ],
)  # fmt: skip
def test_what_stands_twice_is_sent_once(change: dict[str, Any], line: dict[str, Any], code: str) -> None:
    claim = row_claim({"id": "x", "pack": "example_commercial_ppo", "base": "office-visit", "lines": [line], "claim": change})
    judgement = judged(claim)
    (finding,) = (one for one in judgement.findings if one.code == code)
    assert finding.finding_id in {one.finding_id for one in tried_fixes(claim, judgement, judged)}
