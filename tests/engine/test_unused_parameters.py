"""Parameters a payer may set and no shipped pack does: services counted per provider, exempt and attesting modifiers, consolidated billing."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import msgspec
import pytest

from rules_service.engine.decide import engine_decider, oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.packs.read import read_pack
from rules_service.packs.samples import memory_edition
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.rules.kinds import KINDS
from rules_service.rules.kinds.frequency_limit import LIMIT_COLUMNS
from tests.support.builders import claim
from tests.support.server import PACKS

FIRST = date(2020, 1, 1)
MEDICARE = read_pack(PACKS / "medicare_part_b").publication()
OTHER_NPI = "1467560003"


def said(
    rule_id: str, parameters: dict[str, Any], editions: list[Edition], payer_fields: dict[str, Any] | None = None, **changes: Any
) -> Judgement:
    """What Medicare's rules say of a claim when one of them has other parameters; engine and oracle alike."""
    contents = {
        sha256: msgspec.structs.replace(one, parameters={**one.parameters, **parameters}) if one.rule_id == rule_id else one
        for sha256, one in MEDICARE.contents.items()
    }
    view = ClaimView(claim(payer={"payer_id": "MEDB", **(payer_fields or {})}, **changes), "MEDB")
    told = [
        judge(
            Policy([dataclasses.replace(MEDICARE, contents=contents)], "professional", SliceCache()),
            view,
            Lookups(EditionCatalog(editions)),
            frozenset(),
            decide,
        ).judgement
        for decide in (engine_decider, oracle_decider)
    ]
    assert told[0] == told[1]
    return told[0]


def limits(*rows: tuple[str, str, int, str, int, str]) -> list[Edition]:
    """The table of frequency limits with these rows: code, bucket, limit, period, length, per."""
    columns = tuple((name, "text") for name in LIMIT_COLUMNS)
    blob = write_code_table([Row(code, FIRST, None, tuple(map(str, values))) for code, *values in rows], columns)  # type: ignore[arg-type]
    return [memory_edition("medicare_part_b/frequency_limits", "test", blob, EffectivePeriod(FIRST))]


def too_often(limit: list[Edition], lines: list[dict[str, Any]], history: list[dict[str, Any]], **parameters: Any) -> list[tuple[int, ...]]:
    """Lines that are beyond the limit in the calendar year."""
    earlier = [
        {"status": "paid", "line": {"procedure_code": "P6003", "service_from": "2026-03-02", "unit_count": "1", **one}} for one in history
    ]
    told = said("MCR-FRQ-001", parameters, limit, lines=lines, context={"history": earlier})
    return [one.line_numbers for one in told.findings if one.code == "freq.period"]


YEARLY = limits(("P6003", "screening", 1, "calendar_year", 0, "patient"))
YEARLY_EACH = limits(("P6003", "screening", 1, "calendar_year", 0, "provider"))
LINE = {"procedure_code": "P6003"}


@pytest.mark.parametrize(("npi", "each", "all_together"), [("1234567893", [(1,)], [(1,)]), (OTHER_NPI, [], [(1,)])])
def test_a_limit_per_provider_counts_the_provider_s_own_services_only(npi: str, each: list[Any], all_together: list[Any]) -> None:
    history = [{"rendering_npi": npi}]
    assert too_often(YEARLY_EACH, [LINE], history) == each
    assert too_often(YEARLY, [LINE], history) == all_together


def test_a_limit_per_provider_is_not_judged_when_the_history_does_not_say_whose_service_it_was() -> None:
    earlier = [{"status": "paid", "line": {"procedure_code": "P6003", "service_from": "2026-03-02", "unit_count": "1"}}]
    rendering = {"rendering": {"npi": OTHER_NPI, "taxonomy_code": "207Q00000X"}, "billing": {"npi": "1234567893"}}
    told = said("MCR-FRQ-001", {}, YEARLY_EACH, lines=[LINE], context={"history": earlier}, providers=rendering)
    unjudged = {(one.reason, one.supply) for one in told.not_evaluated if one.rule_id == "MCR-FRQ-001"}
    assert unjudged == {("context_not_supplied", "context.history.line.rendering_npi")}
    assert "freq.period" not in [one.code for one in told.findings]


def test_a_limit_per_provider_counts_each_line_of_the_claim_by_who_rendered_it() -> None:
    mine, theirs = dict(LINE), {**LINE, "providers": {"rendering": {"npi": OTHER_NPI, "taxonomy_code": "207R00000X"}}}
    assert too_often(YEARLY_EACH, [mine, theirs], []) == []
    assert too_often(YEARLY_EACH, [mine, mine], []) == [(2,)]
    assert too_often(YEARLY, [mine, theirs], []) == [(2,)]


def test_an_exempt_modifier_takes_a_service_out_of_the_count_on_this_claim_and_on_earlier_ones() -> None:
    exempt = {"exempt_modifiers": ["33"]}
    marked = {**LINE, "modifiers": ["33"]}
    assert too_often(YEARLY, [LINE], [{}], **exempt) == [(1,)]
    assert too_often(YEARLY, [marked], [{}], **exempt) == []
    assert too_often(YEARLY, [LINE], [{"modifiers": ["33"]}], **exempt) == []
    assert too_often(YEARLY, [marked, LINE], [], **exempt) == []
    assert too_often(YEARLY, [LINE], [{"modifiers": ["33"]}]) == [(1,)], "where the payer exempts nothing it counts"


def test_an_attesting_modifier_covers_a_service_beyond_the_limit_and_it_still_counts() -> None:
    attesting = {"attesting_modifiers": ["KX"]}
    marked = {**LINE, "modifiers": ["KX"]}
    assert too_often(YEARLY, [marked], [{}], **attesting) == []
    assert too_often(YEARLY, [LINE], [{"modifiers": ["KX"]}], **attesting) == [(1,)]


def stay(editions: list[Edition], code: str, first: str, last: str) -> Judgement:
    answer = {
        "checked_at": "2026-11-20T08:00:00Z",
        "spans": [{"from": "2026-01-01", "status": "Active"}],
        "skilled_nursing": [{"from": first, "through": last}],
    }
    parameters = {"checks": ["skilled_nursing"], "consolidated_codes": "consolidated_billing"}
    return said("MCR-ELIG-001", parameters, editions, lines=[{"procedure_code": code}], context={"history": [], "eligibility": answer})


CONSOLIDATED = [
    memory_edition(
        "consolidated_billing",
        "test",
        write_code_table([Row("P6003", FIRST, None, ("skilled_nursing",))], (("class", "text"),)),
        EffectivePeriod(FIRST),
    )
]


@pytest.mark.parametrize(
    ("code", "first", "last", "fires"),
    [
        ("P6003", "2026-11-01", "2026-11-30", True),
        ("P6003", "2026-11-20", "2026-11-20", True),
        ("P6003", "2026-11-21", "2026-11-30", False),
        ("P6003", "2026-11-01", "2026-11-19", False),
        ("P9213", "2026-11-01", "2026-11-30", False),
    ],
)
def test_only_codes_under_consolidated_billing_are_the_facility_s_and_only_on_days_of_the_stay(
    code: str, first: str, last: str, fires: bool
) -> None:
    told = stay(CONSOLIDATED, code, first, last)
    assert ("elig.skilled_nursing" in [one.code for one in told.findings]) is fires
    assert "MCR-ELIG-001" not in [one.rule_id for one in told.not_evaluated]


def test_without_the_table_of_consolidated_billing_a_line_in_a_stay_is_not_judged_and_one_outside_is_clean() -> None:
    inside = stay([], "P6003", "2026-11-01", "2026-11-30")
    assert "elig.skilled_nursing" not in [one.code for one in inside.findings]
    assert [one.reason for one in inside.not_evaluated if one.rule_id == "MCR-ELIG-001"] == ["reference_table_missing"]
    outside = stay([], "P6003", "2026-10-01", "2026-10-31")
    assert "MCR-ELIG-001" not in [one.rule_id for one in outside.not_evaluated]


def by_telehealth(place: str, home: str | None, facility: str | None) -> set[str]:
    """What is found, or would have to be supplied, where the payer covers telehealth in the area of 78701 only."""
    codes = write_code_table([Row("P6003", FIRST, None, ("telehealth",))], (("class", "text"),))
    origins = write_code_table([Row("78701", FIRST, None, ("origin",))], (("class", "text"),))
    editions = [
        memory_edition(name, "test", blob, EffectivePeriod(FIRST))
        for name, blob in (("medicare_part_b/telehealth_codes", codes), ("origins", origins))
    ]
    person = {"member_id": "1EG4TE5MK73", "relationship_code": "18", "birth_date": "1950-05-17"}
    providers: dict[str, Any] = {"billing": {"npi": "1234567893"}}
    if facility is not None:
        providers["service_facility"] = {"npi": OTHER_NPI, "address": {"line1": "2 WAY", "zip": facility}}
    told = said(
        "MCR-TEL-001", {"origins": "origins"}, editions, lines=[LINE], place_of_service_code=place, providers=providers,
        subscriber={**person, **({"address": {"line1": "1 WAY", "zip": home}} if home is not None else {})},
    )  # fmt: skip
    found = {one.code for one in told.findings if one.rule_id == "MCR-TEL-001"}
    return found | {one.supply or "" for one in told.not_evaluated if one.rule_id == "MCR-TEL-001"}


@pytest.mark.parametrize(
    ("place", "home", "facility", "wanted"),
    [
        ("10", "787010001", None, set()),
        ("10", "90210", "78701", {"telehealth.origin"}),
        ("10", None, "78701", {"subscriber.address.zip"}),
        ("02", "90210", "78701", set()),
        ("02", "78701", "90210", {"telehealth.origin"}),
        ("02", "78701", None, {"providers.service_facility"}),
        ("11", "90210", "90210", set()),
    ],
)
def test_telehealth_is_covered_in_the_areas_the_payer_lists(place: str, home: str | None, facility: str | None, wanted: set[str]) -> None:
    assert by_telehealth(place, home, facility) == wanted


@pytest.mark.parametrize(
    ("kind", "parameters", "place"),
    [
        ("diagnosis_edit", {"check": "first_only"}, "/codes"),
        ("diagnosis_edit", {"check": "duplicate", "codes": ["Z00"]}, "/codes"),
        ("modifier_requirement", {"codes": "c", "requires_any_of": ["JW"], "statuses": ["K"]}, "/status_table"),
        ("modifier_requirement", {"table": "t", "status_table": "s", "statuses": ["K"]}, "/status_table"),
        ("referral", {"referring_ranges": [["70010", "69990"]]}, "/referring_ranges/0"),
        ("referral", {"referring_ranges": [["700", "710"]]}, "/referring_ranges/0"),
    ],
)
def test_parameters_that_could_never_find_anything_are_refused(kind: str, parameters: dict[str, Any], place: str) -> None:
    read = KINDS[kind].read_parameters(parameters)
    assert [one.where for one in KINDS[kind].check_parameters(read)] == [place]


def test_a_claim_beyond_a_limit_by_itself_is_told_though_it_is_not_known_whose_an_earlier_service_was() -> None:
    earlier = [{"status": "paid", "line": {"procedure_code": "P6003", "service_from": "2026-03-02", "unit_count": "1"}}]
    rendering = {"rendering": {"npi": OTHER_NPI, "taxonomy_code": "207Q00000X"}, "billing": {"npi": "1234567893"}}
    told = said("MCR-FRQ-001", {}, YEARLY_EACH, lines=[LINE, LINE], context={"history": earlier}, providers=rendering)
    assert [one.line_numbers for one in told.findings if one.code == "freq.period"] == [(2,)]


PER_EPISODE = limits(("P6003", "manipulation", 2, "episode", 0, "patient"))


def in_an_episode(history: list[str], units: str = "1", **dates: str) -> tuple[set[str], set[str]]:
    """(finding codes, what would have to be supplied) of a service of 2026-11-20 after others of these days."""
    earlier = [{"status": "paid", "line": {"procedure_code": "P6003", "service_from": day, "unit_count": "1"}} for day in history]
    told = said(
        "MCR-FRQ-001",
        {},
        PER_EPISODE,
        lines=[{**LINE, "unit_count": units}],
        context={"history": earlier},
        **({"dates": dates} if dates else {}),
    )
    found = {one.code for one in told.findings if one.rule_id == "MCR-FRQ-001"}
    return found, {one.supply or "" for one in told.not_evaluated if one.rule_id == "MCR-FRQ-001"}


def test_an_episode_counts_from_its_first_treatment_on() -> None:
    days = ["2026-11-01", "2026-11-10"]
    assert in_an_episode(days, initial_treatment="2026-11-01") == ({"freq.period"}, set())
    assert in_an_episode(days, initial_treatment="2026-11-02") == (set(), set())
    assert in_an_episode(days, onset="2026-10-30") == ({"freq.period"}, set())
    assert in_an_episode(days) == (set(), {"dates.initial_treatment"})
    assert in_an_episode([], units="3") == ({"freq.period"}, set())
