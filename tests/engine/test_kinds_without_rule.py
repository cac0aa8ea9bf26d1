"""What no rule of a payer asks is told with every answer: not looked for is not passed."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.engine.decide import oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.findings.evaluation import Judgement, UndecidedRuleSet
from rules_service.formats.fhir.answers import operation_outcome
from rules_service.reference.lookups import Lookups
from rules_service.rendering.text import evaluation_text
from rules_service.rules.kinds import KINDS
from rules_service.rules.rule import RuleVersionContent
from tests.acceptance.test_rows import HOLD, judged, row_claim, snapshot


def example_claim(pack: str, base: str = "two-procedures", **changes: Any) -> Claim:
    return msgspec.structs.replace(row_claim({"id": "x", "pack": pack, "base": base, "date": "2026-11-20"}), **changes)


def kinds_without_rule(claim: Claim) -> set[str]:
    return set(judged(claim).coverage.kinds_without_rule)


def test_the_answer_names_the_kinds_that_no_rule_of_the_payer_or_of_everyone_is_of() -> None:
    told = kinds_without_rule(example_claim("example_commercial_ppo"))
    assert {"global_period", "anesthesia", "add_on_code"} <= told
    assert told.isdisjoint({"code_pair", "authorization_requirement", "code_validity", "condition"})


def test_every_name_is_one_of_a_rule_kind() -> None:
    assert kinds_without_rule(example_claim("example_commercial_ppo")) <= set(KINDS)


def test_of_a_payer_with_rules_of_every_kind_less_is_named_than_of_one_with_few() -> None:
    assert kinds_without_rule(example_claim("medicare_part_b", "office-visit")) < kinds_without_rule(
        example_claim("example_commercial_ppo")
    )


def test_an_institutional_claim_is_not_told_of_kinds_that_concern_practitioners_only() -> None:
    told = kinds_without_rule(example_claim("medicare_part_a", "inpatient-stay"))
    assert told.isdisjoint({"anesthesia", "global_period", "new_patient_visit", "fee_schedule_indicator", "telehealth"})
    assert "benefit_exclusion" in told


def test_of_an_unknown_payer_only_what_the_baseline_asks_is_looked_for() -> None:
    known = example_claim("example_commercial_ppo")
    unknown = msgspec.structs.replace(known, payer=msgspec.structs.replace(known.payer, payer_id="NOBODY", name=None))
    assert kinds_without_rule(known) < kinds_without_rule(unknown)
    assert {"filing_limit", "code_pair"} <= kinds_without_rule(unknown)


def previewed(content: RuleVersionContent) -> RuleVersionContent:
    return msgspec.structs.replace(content, stage="preview") if content.kind == "code_pair" else content


def test_a_rule_in_preview_looks_for_nothing_yet() -> None:
    claim = example_claim("example_commercial_ppo")
    policy, view = snapshot().policy_for(claim)
    changed = [
        Publication(
            one.rule_set_id, one.number, one.sha256, one.manifest, {sha: previewed(content) for sha, content in one.contents.items()}
        )
        for one in policy.publications
    ]
    told = judge(Policy(changed, "professional", SliceCache()), view, Lookups(snapshot().editions), HOLD, oracle_decider).judgement
    assert "code_pair" in told.coverage.kinds_without_rule


def test_the_report_and_the_operation_outcome_say_so() -> None:
    judgement = judged(example_claim("example_commercial_ppo"))
    document = json.loads(encode_json(judgement)) | {"evaluation_id": None, "disposition": "release"}
    assert "as no rule of this payer is held: " in evaluation_text(document)
    (told,) = (one for one in operation_outcome(document)["issue"] if one["code"] == "not-supported")
    assert told["severity"] == "information"
    assert "global_period" in told["details"]["text"]


def test_the_answer_names_the_excerpts_of_lists_that_were_asked() -> None:
    told = judged(example_claim("medicare_part_b", "office-visit")).coverage.excerpts
    assert "medicare_part_b/modifier_requirements" in told
    assert "medicare_part_b/code_classes" not in told, "it is no excerpt"
    assert judged(example_claim("example_commercial_ppo")).coverage.excerpts == ()


def test_a_payer_recognised_by_its_name_alone_is_told() -> None:
    known = example_claim("example_commercial_ppo")
    named = msgspec.structs.replace(known, payer=msgspec.structs.replace(known.payer, payer_id="NOSUCHID", name="EXAMPLE HEALTH"))
    unknown = msgspec.structs.replace(known, payer=msgspec.structs.replace(known.payer, payer_id="NOSUCHID", name=None))
    told = [judged(one) for one in (known, named, unknown)]
    assert [one.coverage.payer_named_by for one in told] == ["payer_id", "name", None]
    document = json.loads(encode_json(told[1])) | {"evaluation_id": None, "disposition": "release"}
    assert "recognised by its name" in evaluation_text(document)
    assert any("recognised by its name" in one["details"]["text"] for one in operation_outcome(document)["issue"])


def of_one_plan(claim: Claim, **scope: Any) -> Judgement:
    """The claim against the shipped rule sets and one more, a copy of the payer's that speaks of one plan or state."""
    shipped = next(one for one in snapshot().publications if one.rule_set_id == "example_commercial_ppo")
    narrowed = msgspec.structs.replace(shipped.manifest, scope=msgspec.structs.replace(shipped.manifest.scope, layer="plan", **scope))
    plan = Publication("example_plan", 1, shipped.sha256, narrowed, shipped.contents)
    policy, view = snapshot().with_publication(plan, []).policy_for(claim)
    return judge(policy, view, Lookups(snapshot().editions), HOLD, oracle_decider).judgement


def of_payer(claim: Claim, **payer: Any) -> Claim:
    return msgspec.structs.replace(claim, payer=msgspec.structs.replace(claim.payer, **payer))


def test_a_rule_set_of_a_plan_or_state_the_claim_does_not_state_is_told_with_the_fields_to_supply() -> None:
    claim = of_payer(example_claim("example_commercial_ppo"), plan_id=None, state=None)
    told = of_one_plan(claim, plan_ids=("GOLD",), states=("TX",))
    assert told.coverage.undecided_rule_sets == (UndecidedRuleSet("example_plan", ("payer.state", "payer.plan_id")),)
    assert told.outcome == judged(claim).outcome, "what may apply does not leave every other claim open"
    half = of_one_plan(of_payer(claim, state="TX"), plan_ids=("GOLD",), states=("TX",))
    assert half.coverage.undecided_rule_sets == (UndecidedRuleSet("example_plan", ("payer.plan_id",)),)
    document = json.loads(encode_json(told)) | {"evaluation_id": None, "disposition": "release"}
    sentence = "Rules that may apply were not asked (example_plan): supply payer.state, payer.plan_id."
    assert sentence in evaluation_text(document)
    assert any(one["details"]["text"] == sentence for one in operation_outcome(document)["issue"])


def test_a_rule_set_of_another_plan_state_or_payer_is_no_matter_of_the_claim() -> None:
    claim = example_claim("example_commercial_ppo")
    for other in (
        of_payer(claim, plan_id="SILVER", state=None),
        of_payer(claim, plan_id=None, state="OK"),
        of_payer(claim, plan_id="GOLD", state="TX"),
        of_payer(claim, payer_id="MEDB", line_of_business="medicare", plan_id=None, state=None),
    ):
        assert of_one_plan(other, plan_ids=("GOLD",), states=("TX",)).coverage.undecided_rule_sets == ()
