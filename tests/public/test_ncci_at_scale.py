"""Twenty thousand claims of random rows of CMS's PTP, MUE and add-on tables: every finding the rows call for, and no other of its kind.

What is expected is worked out here from the published files as they are, not through the project's readers or its rules.
"""

from __future__ import annotations

import csv
import gzip
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from rules_service.claim.claim import Claim
from rules_service.engine.decide import Decider, engine_decider, oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.packs.read import Pack, read_pack
from rules_service.packs.samples import memory_edition
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from tests.support.builders import claim as built
from tests.support.public_data import DIRECTORY, needs_public_data, public
from tests.support.server import PACKS

pytestmark = needs_public_data
PAIRS, UNITS, ADD_ONS = 12_000, 5_000, 3_000
SOURCE = "ncci/ptp_practitioner_v302_2024-07-01.csv.gz"
QUARTER = (date(2024, 7, 1), date(2024, 9, 30))
FIRST_DAY = date(1996, 1, 1)
SIDES = frozenset({"LT", "RT"})
DISTINCT = frozenset({"59", "XS"})
VISITS = [
    ("99202", "99215"),
    ("99221", "99239"),
    ("99242", "99255"),
    ("99281", "99285"),
    ("99304", "99316"),
    ("99341", "99350"),
    ("99381", "99397"),
]
"""Subsections of CPT's evaluation and management that hold visits."""


Line = dict[str, Any]
Rows = dict[tuple[str, str], list[tuple[date | None, str]]]
"""Deletion date and indicator of the rows of a pair."""


@dataclass
class Published:
    """The files, read plainly."""

    drawn: list[tuple[str, str]]
    pairs: Rows
    units: dict[str, tuple[int, int]]
    add_ons: dict[str, tuple[int, set[str]]]
    classes: dict[str, str]
    others: list[list[Line]]
    """Claims of the units and add-on tables."""


def _pairs(draw: random.Random, others: list[list[Line]]) -> tuple[list[tuple[str, str]], Rows]:
    """PAIRS rows drawn from the whole file, and every row of their two codes and of any two codes of the other claims."""

    def rows() -> Iterator[tuple[str, str, date | None, str]]:
        with gzip.open(public(SOURCE), "rt", newline="") as file:
            for row in csv.DictReader(file):
                deletion = row["deletion_date"]
                yield row["column1"], row["column2"], date.fromisoformat(deletion) if deletion else None, row["modifier_indicator"]

    drawn: list[tuple[str, str]] = []
    for number, (one, two, _, indicator) in enumerate(rows()):
        if len(drawn) < PAIRS:
            drawn.append((one, two))
        elif (at := draw.randrange(number)) < PAIRS or (indicator == "9" and draw.random() < 0.01):
            drawn[at % PAIRS] = (one, two)
    wanted = {frozenset(pair) for pair in drawn}
    wanted |= {frozenset((one["procedure_code"], two["procedure_code"])) for lines in others for one in lines for two in lines}
    kept: Rows = {}
    for one, two, deletion, indicator in rows():
        if frozenset((one, two)) in wanted:
            kept.setdefault((one, two), []).append((deletion, indicator))
    return sorted(set(drawn)), kept


@pytest.fixture(scope="module")
def published() -> Published:
    with public("ncci/mue_prac_2024Q3.csv").open(newline="") as file:
        units = {row["hcpcs_code"]: (int(row["mue_units"]), int(row["mue_mai"])) for row in csv.DictReader(file)}
    add_ons: dict[str, tuple[int, set[str]]] = {}
    with public("ncci/aoc_2024Q3.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            kind, primaries = add_ons.get(row["add_on_code"], (9, set()))
            add_ons[row["add_on_code"]] = (min(kind, int(row["aoc_edit_type"])), primaries | {row["primary_code"]})
    with (PACKS / "medicare_part_b/tables/code_classes.csv").open(newline="") as file:
        classes = {row["code"]: row["class"] for row in csv.DictReader(file)}
    others = [*_unit_claims(units, random.Random(5)), *_add_on_claims(add_ons, sorted(units), random.Random(6))]
    return Published(*_pairs(random.Random(7), others), units, add_ons, classes, others)


@pytest.fixture(scope="module")
def medicare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, EditionCatalog]:
    """The Part B pack with the published tables."""
    layout = tmp_path_factory.mktemp("ncci") / "ptp.txt"
    script = DIRECTORY.parent / "tools" / "cms_ptp_layout.py"
    subprocess.run([sys.executable, str(script), str(public(SOURCE)), str(layout)], check=True, capture_output=True)
    pack: Pack = read_pack(PACKS / "medicare_part_b")
    tables = (
        ("ncci_ptp_practitioner", layout, EffectivePeriod(FIRST_DAY)),
        ("ncci_mue_practitioner", public("ncci/mue_prac_2024Q3.csv"), EffectivePeriod(*QUARTER)),
        ("ncci_add_on_codes", public("ncci/aoc_2024Q3.csv"), EffectivePeriod(date(2020, 1, 1))),
    )
    editions = [
        memory_edition(name, "public", parse_table(name, [SourceFile(path.name, path.read_bytes())], period).blob, period)
        for name, path, period in tables
    ]
    return Policy([pack.publication()], "professional", SliceCache()), EditionCatalog([*editions, *pack.editions()])


def line(code: str, day: date, units: int = 1, modifiers: tuple[str, ...] = (), through: date | None = None) -> Line:
    return {
        "procedure_code": code, "unit_count": str(units), "modifiers": list(modifiers), "service_from": day.isoformat(),
        "service_through": (through or day).isoformat(),
    }  # fmt: skip


def _pair_claims(published: Published, draw: random.Random) -> Iterator[list[Line]]:
    for _ in range(PAIRS):
        one, two = draw.choice(published.drawn)
        deletions = [deletion for deletion, _ in published.pairs[one, two] if deletion is not None and deletion > date(2019, 7, 2)]
        day = date(2019, 7, 1) + timedelta(days=draw.randrange(1_900))
        if deletions and draw.random() < 0.7:
            day = draw.choice(deletions) + timedelta(days=draw.choice((-1, 0, 1)))
        on_one, on_two = draw.choice(
            [((), ()), ((), ()), ((), ("XS",)), (("XS",), ()), ((), ("59",)), (("22",), ("51",)), (("RT",), ("LT",)), (("LT",), ("LT",))]
        )
        found = [line(one, day, modifiers=on_one), line(two, day, modifiers=on_two)]
        draw.shuffle(found)
        yield found


def _unit_claims(units: dict[str, tuple[int, int]], draw: random.Random) -> Iterator[list[Line]]:
    by_mai = [sorted(code for code, (_, mai) in units.items() if mai == wanted) for wanted in (1, 2, 3)]
    for _ in range(UNITS):
        code = draw.choice(draw.choice(by_mai))
        limit, _ = units[code]
        day = QUARTER[0] + timedelta(days=draw.randrange(60))
        span = draw.choice((0, 0, 0, 1, 3))
        first = max(1, limit + draw.choice((-1, 0, 0, 1, 5)))
        counts = [first, *(draw.randint(1, 3) for _ in range(draw.choice((0, 0, 1, 2))))]
        yield [line(code, day, count, through=day + timedelta(days=span)) for count in counts]


def _add_on_claims(add_ons: dict[str, tuple[int, set[str]]], codes: list[str], draw: random.Random) -> Iterator[list[Line]]:
    known = sorted(add_ons)
    for _ in range(ADD_ONS):
        code = draw.choice(known)
        _, primaries = add_ons[code]
        day = QUARTER[0] + timedelta(days=draw.randrange(60))
        choice = draw.randrange(4)
        other = [] if choice == 0 else [draw.choice(sorted(primaries))] if choice == 1 else [draw.choice(codes)]
        shift = timedelta(days=1 if choice == 3 else 0)
        yield [line(code, day), *(line(one, day + shift) for one in other if one != "CCCCC")]


def expected(published: Published, lines: list[Line]) -> Counter[tuple[str, tuple[int, ...]]]:
    """What the published rows call for."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    found.update(_expected_pairs(published, lines))
    found.update(_expected_units(published, lines))
    found.update(_expected_add_ons(published, lines))
    return found


def _bypass(published: Published, line: Line) -> set[str]:
    return {one for one in line["modifiers"] if one in SIDES | DISTINCT and not _is_visit(published, line)}


def _is_visit(published: Published, line: Line) -> bool:
    code = line["procedure_code"]
    return published.classes.get(code) in ("evaluation", "new_patient") or any(first <= code <= last for first, last in VISITS)


def _expected_pairs(published: Published, lines: list[Line]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number_two, two in enumerate(lines, 1):
        for one in lines:
            day = date.fromisoformat(two["service_from"])
            standing = [
                indicator
                for deletion, indicator in published.pairs.get((one["procedure_code"], two["procedure_code"]), ())
                if indicator != "9" and (deletion is None or day <= deletion)
            ]
            if one is two or one["service_from"] != two["service_from"] or not standing:
                continue
            # Two rows of a pair may stand on one day: the stricter one counts.
            bypass = _bypass(published, one) | _bypass(published, two)
            if _is_visit(published, one) or _is_visit(published, two):
                bypass -= SIDES
            same_side = bypass <= SIDES and bool(bypass) and SIDES & set(one["modifiers"]) == SIDES & set(two["modifiers"])
            code = "never_together" if "0" in standing else "same_side" if same_side else "bypassed" if bypass else ""
            yield ("ncci.ptp." + code).rstrip("."), (number_two,)
    for number, one in enumerate(lines, 1):
        for _ in (DISTINCT | SIDES) & set(one["modifiers"]) if _is_visit(published, one) else ():
            yield "mod.invalid", (number,)


def _days(line: Line) -> list[date]:
    first, last = date.fromisoformat(line["service_from"]), date.fromisoformat(line["service_through"])
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _a_day(line: Line) -> int:
    """Units a day, a half rounded up."""
    days = len(_days(line))
    return (2 * int(line["unit_count"]) + days) // (2 * days)


def _expected_units(published: Published, lines: list[Line]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for code in dict.fromkeys(one["procedure_code"] for one in lines):
        mine = [(number, one) for number, one in enumerate(lines, 1) if one["procedure_code"] == code]
        if code not in published.units or not QUARTER[0] <= date.fromisoformat(mine[0][1]["service_from"]) <= QUARTER[1]:
            continue
        limit, mai = published.units[code]
        if mai == 1:
            for number, one in mine:
                if limit == 0:
                    yield "mue.not_payable", (number,)
                elif _a_day(one) > limit:
                    yield "mue.mai1", (number,)
            continue
        days = dict.fromkeys(day for _, one in mine for day in _days(one))
        worst = max(days, key=lambda day: (sum(_a_day(one) for _, one in mine if day in _days(one)), -day.toordinal()))
        on_it = tuple(number for number, one in mine if worst in _days(one))
        if limit == 0:
            yield "mue.not_payable", on_it
        elif sum(_a_day(one) for _, one in mine if worst in _days(one)) > limit:
            yield f"mue.mai{mai}", on_it


def _expected_add_ons(published: Published, lines: list[Line]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number, one in enumerate(lines, 1):
        kind, primaries = published.add_ons.get(one["procedure_code"], (0, set()))
        others = [
            other["procedure_code"] for other in lines
            if other["procedure_code"] != one["procedure_code"] and set(_days(other)) & set(_days(one))
        ]  # fmt: skip
        if kind and date.fromisoformat(one["service_from"]) >= date(2020, 1, 1):
            if "51" in one["modifiers"]:
                yield "aoc.modifier", (number,)
            procedures = [other for other in others if other not in published.add_ons]
            if not (procedures if kind == 2 else primaries & set(others)):
                yield ("aoc.unlisted_primary" if kind == 3 and procedures else "aoc.no_primary"), (number,)


def _expected_falls(published: Published, lines: list[Line], judgement: Judgement) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Add-ons all of whose primaries the payer would deny, by whatever rule of the pack: told first are the faults of the add-on itself."""
    denied = {
        number: [
            one for one in judgement.findings if number in one.line_numbers and one.severity.startswith("deny") and not one.suppressed_by
        ]
        for number in range(1, len(lines) + 1)
    }
    for number, one in enumerate(lines, 1):
        kind, primaries = published.add_ons.get(one["procedure_code"], (0, set()))
        acceptable = [
            at for at, other in enumerate(lines, 1)
            if other["procedure_code"] != one["procedure_code"] and set(_days(other)) & set(_days(one))
            and (other["procedure_code"] not in published.add_ons if kind == 2 else other["procedure_code"] in primaries)
        ]  # fmt: skip
        known = kind and date.fromisoformat(one["service_from"]) >= date(2020, 1, 1)
        if known and acceptable and all(any(number not in found.line_numbers for found in denied[at]) for at in acceptable):
            yield "aoc.primary_denied", (number,)


def _column_one_unpayable(published: Published, lines: list[Line], wanted: Counter[tuple[str, tuple[int, ...]]]) -> None:
    """Column two beside a code whose published limit is 0 is warned of, not said to be denied, where no modifier separates the pair."""
    for number, two in enumerate(lines, 1):
        ones = {
            one["procedure_code"] for one in lines if one is not two and (one["procedure_code"], two["procedure_code"]) in published.pairs
        }
        in_force = QUARTER[0] <= date.fromisoformat(two["service_from"]) <= QUARTER[1]
        if in_force and ones and all(published.units.get(one, (1, 0))[0] == 0 for one in ones):
            for code in ("ncci.ptp", "ncci.ptp.never_together"):
                wanted["ncci.ptp.column_one_denied", (number,)] += wanted.pop((code, (number,)), 0)
    for key in [key for key, count in wanted.items() if not count]:
        del wanted[key]


def judged(claim: Claim, policy: Policy, editions: EditionCatalog, decide: Decider) -> Judgement:
    return judge(policy, ClaimView(claim, "MEDB"), Lookups(editions), frozenset(), decide).judgement


def told(judgement: Judgement) -> Counter[tuple[str, tuple[int, ...]]]:
    families = ("ncci.", "mue.", "aoc.", "mod.invalid")
    return Counter(
        (one.code, one.line_numbers) for one in judgement.findings if one.code.startswith(families) and one.code != "mod.invalid_dos"
    )


def test_every_row_s_finding_and_no_other(published: Published, medicare: tuple[Policy, EditionCatalog]) -> None:
    policy, editions = medicare
    wrong, kinds, count = [], Counter[str](), 0
    for number, lines in enumerate([*_pair_claims(published, random.Random(11)), *published.others]):
        claim = built(payer={"payer_id": "MEDB"}, lines=lines, received_at="2024-11-01T10:00:00-05:00")
        wanted = expected(published, lines)
        judgement = judged(claim, policy, editions, engine_decider)
        wanted.update(_expected_falls(published, lines, judgement))
        _column_one_unpayable(published, lines, wanted)
        found = told(judgement)
        if number % 10 == 0:
            assert judgement == judged(claim, policy, editions, oracle_decider)
        kinds.update(code for code, _ in wanted.elements())
        count += 1
        if found != wanted:
            wrong.append((lines, dict(wanted - found), dict(found - wanted)))
    assert not wrong, (len(wrong), wrong[:5])
    assert count == PAIRS + UNITS + ADD_ONS
    assert min(kinds[code] for code in ("ncci.ptp", "ncci.ptp.never_together", "ncci.ptp.bypassed", "ncci.ptp.same_side")) > 100, kinds
    assert (
        min(kinds[code] for code in ("mue.mai1", "mue.mai2", "mue.mai3", "mue.not_payable", "aoc.no_primary", "aoc.unlisted_primary")) > 20
    ), kinds
