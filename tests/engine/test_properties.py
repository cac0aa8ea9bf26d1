"""What must hold whatever the claim: an unrelated line, another order, or a higher limit never makes a finding appear or go that it should not."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value, encode_json
from rules_service.engine.decide import oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.packs.read import read_pack
from rules_service.packs.samples import memory_edition
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.lookups import EditionCatalog, Lookups
from tests.acceptance.test_rows import HOLD, ROWS, judged, row_claim, snapshot
from tests.support.builders import claim
from tests.support.server import PACKS

CLAIMS = [row_claim(row) for row in ROWS]
IDS = [f"{row['id']} {row.get('note', '')}".strip() for row in ROWS]
MUE = "ncci_mue_practitioner"


def changed(one: Claim, change: Any) -> Claim:
    """The claim with its JSON document changed in place."""
    document = msgspec.json.decode(encode_json(one))
    change(document)
    return canonical_claim(msgspec.convert(document, Claim, dec_hook=decode_value))


def told(judgement: Judgement) -> Counter[tuple[str, str, tuple[int, ...]]]:
    """Every finding by rule, code and lines."""
    return Counter((one.rule_id, one.code, one.line_numbers) for one in judgement.findings)


@pytest.mark.parametrize("one", CLAIMS, ids=IDS)
def test_an_unrelated_line_removes_no_finding_of_another_line(one: Claim) -> None:
    last = max(filter(None, (line.service_through or line.service_from for line in one.service_lines)), default=None)
    if last is None:
        pytest.skip("the claim has no date of service to be apart from")
    day = (last + timedelta(days=1)).isoformat()

    def add(document: dict[str, Any]) -> None:
        number = max(line["line_number"] for line in document["service_lines"]) + 1
        document["service_lines"].append({
            "line_number": number, "procedure_code": "P1999", "charge_amount": "0.01", "unit_basis": "UN", "unit_count": "1",
            "service_from": day, "service_through": day, "diagnosis_pointers": [1],
        })  # fmt: skip

    before, after = judged(one, oracle_decider), judged(changed(one, add), oracle_decider)
    lines = {line.line_number for line in one.service_lines}
    of_some = {key for key in told(before) if 0 < len(key[2]) < len(lines)}
    of_all = {key[:2] for key in told(before) if len(key[2]) in (0, len(lines))}
    assert of_some <= set(told(after))
    assert of_all <= {key[:2] for key in told(after)}


@pytest.mark.parametrize("one", CLAIMS, ids=IDS)
def test_the_order_of_lines_and_diagnoses_in_the_document_changes_no_finding(one: Claim) -> None:
    def turn(document: dict[str, Any]) -> None:
        document["service_lines"].reverse()
        document["diagnoses"].reverse()

    assert told(judged(changed(one, turn), oracle_decider)) == told(judged(one, oracle_decider))


@pytest.mark.parametrize("one", CLAIMS, ids=IDS)
def test_the_order_of_rules_and_rule_sets_changes_no_finding(one: Claim) -> None:
    policy, view = snapshot().policy_for(one)
    turned = [
        dataclasses.replace(each, manifest=msgspec.structs.replace(each.manifest, windows=tuple(reversed(each.manifest.windows))))
        for each in reversed(policy.publications)
    ]
    other = Policy(turned, one.claim_type, SliceCache())
    found = judge(other, view, Lookups(snapshot().editions), HOLD, oracle_decider).judgement
    assert found == judged(one, oracle_decider)


MEDICARE = read_pack(PACKS / "medicare_part_b").publication()
COMPILED = SliceCache()


def _units(limit: int, mai: int, lines: list[dict[str, Any]]) -> set[tuple[str, tuple[int, ...]]]:
    period = EffectivePeriod(date(2020, 1, 1))
    blob = write_code_table([Row("P1001", date(2020, 1, 1), None, (limit, mai))], (("value", "int"), ("mai", "int")))
    editions = EditionCatalog([memory_edition(MUE, "test", blob, period)])
    policy = Policy([MEDICARE], "professional", COMPILED)
    view = ClaimView(claim(payer={"payer_id": "MEDB"}, lines=lines), "MEDB")
    found = judge(policy, view, Lookups(editions), frozenset(), oracle_decider).judgement.findings
    return {(one.code, one.line_numbers) for one in found if one.code.startswith("mue.mai")}


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(1, 12),
    more=st.integers(1, 12),
    mai=st.sampled_from([1, 2, 3]),
    units=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), min_size=1, max_size=4),
)
def test_a_higher_unit_limit_never_adds_a_finding(limit: int, more: int, mai: int, units: list[tuple[int, int]]) -> None:
    lines = [
        {"procedure_code": "P1001", "unit_count": str(count), "service_from": "2026-11-10", "service_through": f"2026-11-{10 + days}"}
        for count, days in units
    ]
    assert _units(limit + more, mai, lines) <= _units(limit, mai, lines)


def _filing(publication: Publication, days: int, service: date, received: date, **clock_changes: object) -> set[str]:
    """What the illustrative plan's filing rule says with another limit."""
    contents = {}
    for sha256, content in publication.contents.items():
        if content.rule_id == "EX1-TF-001":
            limit = {"value": days, "unit": "calendar_days"}
            clocks = [{**clock, "limit": limit, **clock_changes} for clock in content.parameters["clocks"]]
            contents[sha256] = msgspec.structs.replace(content, parameters={**content.parameters, "clocks": clocks})
        else:
            contents[sha256] = content
    policy = Policy([dataclasses.replace(publication, contents=contents)], "professional", SliceCache())
    line = {"service_from": service.isoformat(), "service_through": service.isoformat()}
    one = claim(lines=[line], received_at=f"{received.isoformat()}T12:00:00-05:00")
    found = judge(policy, ClaimView(one, "EXAMPLE01"), Lookups(EditionCatalog([])), frozenset(), oracle_decider).judgement
    unjudged = {"unjudged" for each in found.not_evaluated if each.rule_id == "EX1-TF-001"}
    return {each.code for each in found.findings if each.code == "tf.expired"} | unjudged


@settings(max_examples=40, deadline=None)
@given(days=st.integers(1, 400), more=st.integers(1, 400), service=st.dates(date(2026, 7, 1), date(2027, 6, 30)), gap=st.integers(0, 800))
def test_a_longer_filing_limit_never_makes_a_claim_late_and_the_last_day_is_in_time(days: int, more: int, service: date, gap: int) -> None:
    publication = read_pack(PACKS / "example_commercial_ppo").publication()
    received = service + timedelta(days=gap)
    shorter, longer = _filing(publication, days, service, received), _filing(publication, days + more, service, received)
    assert longer <= shorter
    assert shorter == ({"tf.expired"} if gap > days else set())


@pytest.mark.parametrize(
    ("combine", "cap", "day", "found"),
    [
        ("latest", None, 30, set()),
        ("latest", None, 31, {"unjudged"}),
        ("latest", 60, 60, {"unjudged"}),
        ("latest", 60, 61, {"tf.expired"}),
        ("latest", 20, 20, set()),
        ("latest", 20, 21, {"tf.expired"}),
        ("earliest", None, 30, {"unjudged"}),
        ("earliest", None, 31, {"tf.expired"}),
        ("earliest", 20, 20, {"unjudged"}),
        ("earliest", 20, 21, {"tf.expired"}),
    ],
)
def test_an_anchor_that_is_not_known_leaves_open_only_what_it_could_change(
    combine: str, cap: int | None, day: int, found: set[str]
) -> None:
    """Thirty days from the service or the primary payer's decision, which is not known; at most `cap` days from the service."""
    publication = read_pack(PACKS / "example_commercial_ppo").publication()
    clock: dict[str, object] = {"anchors": ["line_from", "primary_adjudication"], "combine": combine}
    if cap is not None:
        clock["absolute_cap"] = {"value": cap, "unit": "calendar_days"}
    service = date(2026, 7, 1)
    assert _filing(publication, 30, service, service + timedelta(days=day), **clock) == found


def test_a_cap_alone_decides_when_no_anchor_is_known() -> None:
    publication = read_pack(PACKS / "example_commercial_ppo").publication()
    capped = {"anchors": ["primary_adjudication"], "absolute_cap": {"value": 60, "unit": "calendar_days"}}
    service = date(2026, 7, 1)
    assert _filing(publication, 30, service, service + timedelta(days=60), **capped) == {"unjudged"}
    assert _filing(publication, 30, service, service + timedelta(days=61), **capped) == {"tf.expired"}
