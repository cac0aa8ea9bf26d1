"""Judging whole claims with the shipped packs: engine against oracle, precedence, determinism, outcomes."""

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rules_service.claim.codec import encode_json
from rules_service.engine.decide import engine_decider, oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.formats.native.json_claims import claim_of
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.rules.rule import FindingTemplate, Manifest, RuleSetScope, RuleVersionContent, Window
from tests.support.builders import THREE_FINDINGS, claim, claim_bytes

PACKS = Path(__file__).resolve().parents[2] / "payer_rules"
HOLD = frozenset({"reject", "deny_hard", "deny_soft"})
COMPILED = {engine_decider: SliceCache(), oracle_decider: SliceCache()}
"""Apart, so that neither is told what the other decided."""


@pytest.fixture(scope="module")
def shipped() -> tuple[dict[str, Publication], EditionCatalog]:
    packs = [read_pack(folder) for folder in find_packs(PACKS)]
    editions = sample_editions(PACKS / "reference_samples")
    for pack in packs:
        editions += pack.editions()
    return {pack.file.id: pack.publication(1) for pack in packs}, EditionCatalog(editions)


def judged(shipped: tuple[dict[str, Publication], EditionCatalog], body: bytes, *names: str, decide=engine_decider) -> Judgement:  # type: ignore[no-untyped-def]
    publications, catalog = shipped
    read = claim_of(body)
    policy = Policy([publications[name] for name in names], read.claim_type, COMPILED[decide])
    return judge(policy, ClaimView(read, read.payer.payer_id), Lookups(catalog), HOLD, decide).judgement


def random_claim(draw: random.Random) -> bytes:
    codes = ["P1001", "P1002", "P1003", "P2001", "P2002", "P2003", "P2004", "P2005", "P7001", "P7003", "P7004", "P7005", "P9213", "G0297"]
    days = ["2019-06-30", "2024-02-29", "2025-12-31", "2026-09-30", "2026-10-01", "2026-11-20", "2026-11-25", None]
    lines = []
    for _ in range(draw.randint(1, 6)):
        day = draw.choice(days)
        line = {
            "procedure_code": draw.choice(codes),
            "modifiers": draw.sample(["59", "XU", "LT", "RT", "25", "76"], draw.randint(0, 2)),
            "unit_count": draw.choice(["0", "1", "2", "4", "7.5"]),
            "service_from": day,
            "service_through": day,
            "diagnosis_pointers": draw.choice([[1], [2], [1, 3], []]),
        }
        lines.append(
            {key: value for key, value in line.items() if value is not None}
            | ({} if day else {"service_from": None, "service_through": None})
        )
    context = draw.choice([None, {}, {"history": []}, {"history": [{"status": "paid", "line": {"procedure_code": "P1001", "service_from": "2026-11-20", "unit_count": "2", "rendering_npi": "1234567893"}}]}])  # fmt: skip
    return claim_bytes(
        lines=lines,
        context=context,
        diagnoses=[{"sequence": 1, "code": draw.choice(["J06.9", "M54.5", "E11", "401.9"]), "type": "principal"}],
        claim_frequency_code=draw.choice(["1", "7"]),
        prior_authorization_numbers=draw.choice([[], ["AUTH0001"], ["x"]]),
        place_of_service_code=draw.choice(["11", "23", "98"]),
    )


@pytest.mark.parametrize("pack", ["example_commercial_ppo", "example_commercial_hmo", "medicare_part_b"])
def test_engine_and_oracle_give_the_same_judgement_of_random_claims(shipped, pack: str) -> None:  # type: ignore[no-untyped-def]
    draw = random.Random(pack)
    for _ in range(400):
        body = random_claim(draw)
        mine = judged(shipped, body, "national_baseline", pack)
        assert encode_json(mine) == encode_json(judged(shipped, body, "national_baseline", pack, decide=oracle_decider))


def without_places(judgement: Judgement) -> list[dict]:
    found = msgspec.json.decode(encode_json(judgement.findings))
    for finding in found:
        del finding["location"], finding["finding_id"]
    return sorted(found, key=lambda finding: json.dumps(finding, sort_keys=True))


def test_the_order_of_lines_in_the_document_changes_nothing_but_pointers(shipped) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(
        claim_bytes(lines=[*THREE_FINDINGS, {"procedure_code": "P2002", "unit_count": "2"}, {"procedure_code": "P2002", "unit_count": "2"}])
    )
    seen = set()
    for order in itertools.islice(itertools.permutations(document["service_lines"]), 0, 120, 7):
        body = json.dumps({**document, "service_lines": list(order)}).encode()
        seen.add(json.dumps(without_places(judged(shipped, body, "national_baseline", "example_commercial_ppo", "medicare_part_b"))))
    assert len(seen) == 1


def test_findings_are_the_same_bytes_under_every_hash_seed() -> None:
    program = (
        "from tests.engine.test_evaluate import *\n"
        "packs=[read_pack(f) for f in find_packs(PACKS)]\n"
        "e=sample_editions(PACKS/'reference_samples')\n"
        "for p in packs: e+=p.editions()\n"
        "s=({p.file.id:p.publication(1) for p in packs},EditionCatalog(e))\n"
        "d=random.Random(5)\n"
        "import hashlib;h=hashlib.sha256()\n"
        "for _ in range(25): h.update(encode_json(judged(s,random_claim(d),'national_baseline','example_commercial_ppo','medicare_part_b')))\n"
        "print(h.hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    seen = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "42")
    }
    assert len(seen) == 1
    assert len(seen.pop().strip()) == 64


def content(rule_id: str, **changes: object) -> RuleVersionContent:
    finding = FindingTemplate(code=f"test.{rule_id}", severity="warn", message="Line {line_number}.")
    base = {
        "rule_id": rule_id, "name": rule_id, "title": rule_id, "kind": "condition", "level": "line", "category": "test", "stage": "stable",
        "policy_date": "service_date", "when": {"fact": "line.procedure_code", "is": "P9213"}, "finding": finding,
    }  # fmt: skip
    return RuleVersionContent(**(base | changes))  # type: ignore[arg-type]


def publication(name: str, scope: RuleSetScope, *contents: RuleVersionContent, first: str = "2020-01-01") -> Publication:
    from datetime import date

    windows = tuple(
        Window(rule_id=one.rule_id, version=1, sha256=one.sha256(), effective_from=date.fromisoformat(first)) for one in contents
    )
    manifest = Manifest(rule_set_id=name, title=name, scope=scope, windows=windows)
    return Publication(name, 1, manifest.sha256(), manifest, {one.sha256(): one for one in contents})


NATIONAL = RuleSetScope(layer="national")
PAYER = RuleSetScope(layer="payer", payer_ids=("EXAMPLE01",))
PLAN = RuleSetScope(layer="plan", payer_ids=("EXAMPLE01",), plan_ids=("GOLD",))


def fired(*publications: Publication) -> list[str]:
    policy = Policy(publications, "professional", SliceCache())
    answer = judge(policy, ClaimView(claim(), "EXAMPLE01"), Lookups(EditionCatalog([])), HOLD)
    return [finding.rule_id for finding in answer.judgement.findings], [(loser.rule_id, loser.by, loser.how) for loser in answer.losers]  # type: ignore[return-value]


def test_a_more_specific_rule_overrides_a_broader_one_and_the_loser_is_named() -> None:
    broad, narrow = publication("n", NATIONAL, content("N-1")), publication("p", PAYER, content("P-1", overrides=("N-1",)))
    assert fired(broad, narrow) == (["P-1"], [("N-1", "P-1", "overridden")])


def test_a_disabled_rule_does_not_fire_and_an_extended_one_does() -> None:
    broad = publication("n", NATIONAL, content("N-1"))
    never = {"fact": "line.procedure_code", "is": "NEVER"}
    assert fired(broad, publication("p", PAYER, content("P-1", disables=("N-1",), when=never))) == ([], [("N-1", "P-1", "disabled")])
    assert fired(broad, publication("p", PAYER, content("P-1", extends=("N-1",)))) == (["N-1", "P-1"], [])


def test_a_broader_rule_cannot_displace_a_more_specific_one() -> None:
    assert fired(publication("n", NATIONAL, content("N-1", disables=("P-1",))), publication("p", PAYER, content("P-1")))[0] == [
        "N-1",
        "P-1",
    ]


def test_a_loser_displaces_nobody() -> None:
    national, payer, plan = content("N-1"), content("P-1", disables=("N-1",)), content("L-1", disables=("P-1",))
    assert fired(publication("n", NATIONAL, national), publication("p", PAYER, payer), publication("l", PLAN, plan))[0] == ["L-1", "N-1"]


def test_an_override_counts_only_from_the_day_its_rule_applies() -> None:
    later = publication("p", PAYER, content("P-1", overrides=("N-1",)), first="2026-11-21")
    assert fired(publication("n", NATIONAL, content("N-1")), later)[0] == ["N-1"]


def test_a_preview_rule_is_recorded_and_not_returned() -> None:
    policy = Policy([publication("p", PAYER, content("P-1", stage="preview"))], "professional", SliceCache())
    answer = judge(policy, ClaimView(claim(), "EXAMPLE01"), Lookups(EditionCatalog([])), HOLD)
    assert answer.judgement.outcome == "not_covered", "none of the payer's rules is in force"
    assert [finding.rule_id for finding in answer.preview] == ["P-1"]


def test_outcomes_in_their_order(shipped) -> None:  # type: ignore[no-untyped-def]
    publications, _ = shipped
    good = claim_bytes()
    assert judged(shipped, good, "national_baseline", "example_commercial_ppo").outcome == "clean"
    assert judged(shipped, good, "national_baseline").outcome == "not_covered"
    assert judged(shipped, claim_bytes(total_charge_amount="1.00"), "national_baseline").outcome == "findings"
    old = claim_bytes(lines=[{"service_from": "2026-11-20", "service_through": "2026-11-20"}])
    empty = (publications, EditionCatalog([]))
    unjudged = judged(empty, old, "national_baseline", "example_commercial_ppo")
    assert unjudged.outcome == "incomplete"
    assert {one.reason for one in unjudged.not_evaluated if one.required} == {"reference_table_missing"}


def test_no_message_or_finding_holds_an_identifier_or_a_name(shipped) -> None:  # type: ignore[no-untyped-def]
    secret = {"member_id": "SECRETMEMBER", "first_name": "SECRETFIRST", "last_name": "SECRETLAST", "birth_date": "2030-01-01"}
    body = claim_bytes(
        subscriber=secret,
        providers={"billing": {"npi": "1999999999", "tax_id": "SECRETTAX", "last_or_organization_name": "SECRETORG"}},
        lines=[{"procedure_code": "SECRET CODE <b>", "description": "SECRETTEXT"}],
        notes=[{"text": "SECRETNOTE"}],
    )
    judgement = judged(shipped, body, "national_baseline", "example_commercial_ppo", "example_commercial_hmo", "medicare_part_b")
    text = encode_json([msgspec.structs.replace(finding, actual={}) for finding in judgement.findings]).decode()
    assert len(judgement.findings) >= 3
    for word in (
        "SECRETMEMBER",
        "SECRETFIRST",
        "SECRETLAST",
        "SECRETTAX",
        "SECRETORG",
        "SECRETTEXT",
        "SECRETNOTE",
        "1999999999",
        "2030-01-01",
        "<b>",
    ):
        assert word not in text
