"""Which rules are asked about a claim: those whose tables hold its codes; and what is kept between claims changes no answer."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterator
from datetime import date

import msgspec
import pytest

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.engine.evaluate import judge
from rules_service.engine.gather import _concerned
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.packs.cases import HOLD, case_claim
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import memory_edition, sample_editions
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.rules.kinds.base import Judged
from rules_service.rules.rule import Manifest, RuleSetScope, RuleVersionContent, Window
from tests.support.builders import claim
from tests.support.server import PACKS

READ = [read_pack(folder) for folder in find_packs(PACKS)]
EDITIONS = [*sample_editions(PACKS / "reference_samples"), *(edition for pack in READ for edition in pack.editions())]
CACHE = SliceCache()


def claims_of_cases() -> Iterator[Claim]:
    """The claims the packs' rules are tested with."""
    for pack in READ:
        for rule in pack.rules:
            for case in rule.cases.cases if rule.cases is not None else ():
                yield case_claim(pack.root, rule.cases.base if rule.cases is not None else "", case)


def many_lines(draw: random.Random, every: list[Claim]) -> Claim:
    """A claim with the lines of several others, by the payer and in the context of one of them."""
    first = draw.choice(every)
    others = [one for one in draw.sample(every, 30) if one.claim_type == first.claim_type][: draw.randint(1, 5)]
    lines = [line for one in (first, *others) for line in one.service_lines][:20]
    numbered = tuple(msgspec.structs.replace(line, line_number=number) for number, line in enumerate(lines, 1))
    return msgspec.structs.replace(first, service_lines=numbered, context=draw.choice([first, *others]).context)


CLAIMS = list(claims_of_cases())
DRAW = random.Random(11)
MIXED = [many_lines(DRAW, CLAIMS) for _ in range(300)]


@pytest.mark.parametrize("pack", READ, ids=lambda pack: pack.file.id)
def test_a_rule_that_is_not_asked_of_a_claim_would_have_had_nothing_to_ask(pack) -> None:  # type: ignore[no-untyped-def]
    publication, catalog = pack.publication(), EditionCatalog(EDITIONS)
    spared = 0
    for one in [*CLAIMS, *MIXED]:
        view = ClaimView(one, publication.manifest.scope.payer_ids[0] if publication.manifest.scope.payer_ids else "")
        policy = Policy([publication], one.claim_type, CACHE)
        for day in view.dates:
            index = policy.slice(day).everything
            rules = index.kinds_asked(view.submission_type == "void")
            asked = set(_concerned(index, Judged(view, Lookups(catalog), view.lines)))
            for rule in rules:
                if rule not in asked:
                    spared += 1
                    assert not list(rule.kind.derive(rule.parameters, Judged(view, Lookups(catalog), view.lines))), (
                        rule.rule.content.rule_id
                    )
    if any(rule.kind.code_tables(rule.parameters) for rule in index.kinds):
        assert spared > 1_000, "the rules are asked of every claim, and nothing is shown"


def test_what_other_claims_left_behind_changes_neither_the_answer_nor_the_editions_it_rests_on() -> None:
    """A catalog that has answered for every claim before, and one that has answered for none."""
    publications = [pack.publication() for pack in READ if pack.file.id in ("national_baseline", "medicare_part_b")]
    used = EditionCatalog(EDITIONS)
    for one in MIXED:
        policy = Policy(publications, one.claim_type, CACHE)
        told = []
        for catalog in (used, EditionCatalog(EDITIONS)):
            lookups = Lookups(catalog)
            judgement = judge(policy, ClaimView(one, "MEDB"), lookups, HOLD).judgement
            told.append((encode_json(judgement), [(edition.name, edition.edition) for edition in lookups.used()]))
        assert told[0] == told[1]


def coverage_rule(**when: object) -> Publication:
    """A plan whose eligibility answers are asked about on the lines a condition names."""
    content = RuleVersionContent(
        rule_id="T-ELIG", name="t", title="t", kind="eligibility", level="line", category="t", stage="stable", policy_date="service_date",
        parameters={"checks": ["coverage"]}, when=dict(when),
    )  # fmt: skip
    manifest = Manifest(
        rule_set_id="t", title="t", scope=RuleSetScope(layer="payer", payer_ids=("EXAMPLE01",)),
        windows=(Window(rule_id="T-ELIG", version=1, sha256=content.sha256(), effective_from=date(2020, 1, 1)),),
    )  # fmt: skip
    return Publication("t", 1, manifest.sha256(), manifest, {content.sha256(): content})


def test_what_is_not_known_of_lines_alike_is_told_of_those_only_that_the_rule_is_about() -> None:
    lines = [{"place_of_service_code": "11"}, {"place_of_service_code": "22"}, {"place_of_service_code": "11"}]
    policy = Policy([coverage_rule(fact="line.place_of_service_code", **{"is": "11"})], "professional", SliceCache())
    told = judge(policy, ClaimView(claim(lines=lines), "EXAMPLE01"), Lookups(EditionCatalog([])), HOLD).judgement
    assert [(one.reason, one.line_numbers) for one in told.not_evaluated] == [("context_not_supplied", (1, 3))]


def test_the_view_of_a_claim_is_given_back_at_once_and_not_by_the_garbage_collector() -> None:
    policy = Policy([pack.publication() for pack in READ if pack.file.id == "national_baseline"], "professional", CACHE)
    gc.collect()
    gc.disable()
    try:
        view = ClaimView(CLAIMS[0], "")
        gone = weakref.ref(view)
        judge(policy, view, Lookups(EditionCatalog(EDITIONS)), HOLD)
        view.let_go()
        del view
        assert gone() is None
    finally:
        gc.enable()


FOREVER = EffectivePeriod(date(1990, 1, 1))


def table(name: str) -> Edition:
    return memory_edition(name, "one", write_code_table([Row("A", date(2020, 1, 1), None, ())], ()), FOREVER)


def test_what_is_remembered_of_the_editions_is_made_once_and_its_editions_count_as_looked_at_by_everybody() -> None:
    catalog, made = EditionCatalog([table("t"), table("other")]), []

    def holds(lookups: Lookups, code: str) -> bool:
        made.append(1)
        found = lookups.codes("t", date(2026, 1, 1))
        return isinstance(found, CodeTable) and bool(found.rows_of(code))

    for _ in range(2):
        lookups = Lookups(catalog)
        assert lookups.once(holds, "A")
        assert [edition.name for edition in lookups.used()] == ["t"]
        assert isinstance(lookups.codes("none", date(2026, 1, 1)), Unknown)
    assert made == [1]
