"""Which version applies on a day as known at an epoch: the SQL against a plain model, over random histories, on both databases."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from rules_service.engine.policy import Publication
from rules_service.rules.rule import FindingTemplate, Manifest, RuleSetScope, RuleVersionContent, Window
from rules_service.storage import catalog, publication_history
from rules_service.storage.catalog import EpochContent
from rules_service.storage.database import Database
from rules_service.workflow.difference import first_difference

TENANT = "t"
FIRST = date(2020, 1, 1)
DAYS = 1_500
RULES = ("R-1", "R-2", "R-3")
LAST_DAYS = (date(2024, 2, 29), date(9999, 12, 31))
Spans = dict[str, list[tuple[date, date | None, int]]]
"""Per rule: (first day, last day or None, version), without overlap."""


def content(rule_id: str, version: int) -> RuleVersionContent:
    return RuleVersionContent(
        rule_id=rule_id, name=rule_id.lower(), title=f"{rule_id} {version}", kind="condition", level="claim", category="test", stage="stable",
        policy_date="service_date", when={"fact": "claim.line_count", "more_than": str(version)},
        finding=FindingTemplate(code="test.rule", severity="warn", message="A message."),
    )  # fmt: skip


def publication(rule_set: str, spans: Spans) -> Publication:
    contents = {one.sha256(): one for rule, windows in spans.items() for _, _, version in windows for one in [content(rule, version)]}
    windows = tuple(
        Window(rule_id=rule, version=version, sha256=content(rule, version).sha256(), effective_from=first, effective_through=last)
        for rule, found in sorted(spans.items())
        for first, last, version in sorted(found, key=lambda one: one[0])
    )
    manifest = Manifest(rule_set_id=rule_set, title=rule_set, scope=RuleSetScope(layer="national"), windows=windows)
    return Publication(rule_set, 0, manifest.sha256(), manifest, contents)


def changed(spans: Spans, rule: str, start: date, end: date | None, version: int | None) -> Spans:
    """The spans with one rule's days from start through end given to a version, or to none; what lay there before is cut."""
    kept: list[tuple[date, date | None, int]] = []
    for first, last, old in spans.get(rule, []):
        if first < start:
            kept.append((first, min(last or date.max, start - timedelta(days=1)), old))
        if end is not None and (last is None or last > end):
            kept.append((max(first, end + timedelta(days=1)), last, old))
    if version is not None:
        kept.append((start, end, version))
    return {**spans, rule: kept}


def model(spans: Spans, day: date) -> dict[str, int]:
    return {
        rule: version
        for rule, windows in spans.items()
        for first, last, version in windows
        if first <= day and (last is None or day <= last)
    }


def look_up(connection: object, rule_set: str, day: date, epoch: int) -> dict[str, int]:
    return {one.rule_id: one.version for one in publication_history.resolve(connection, TENANT, rule_set, day, epoch)}  # type: ignore[arg-type]


def some_days(draw: random.Random, spans: Spans, count: int) -> list[date]:
    """Days at, before and after the turns of the spans, and others."""
    turns = [day for windows in spans.values() for first, last, _ in windows for day in (first, last or first)]
    found = [FIRST + timedelta(days=draw.randrange(DAYS)) for _ in range(count)]
    for day in turns:
        found += [day, day - timedelta(days=1), day if day == date.max else day + timedelta(days=1)]
    return [*found, *LAST_DAYS]


def histories(database: Database, seed: int, number: int, publications: int, look_ups: int) -> int:
    """Random histories; how many look-ups were compared."""
    draw = random.Random(seed)
    with database.writing() as connection:
        catalog.ensure_tenant(connection, TENANT, TENANT, datetime(2020, 1, 1, tzinfo=UTC))
    compared = 0
    for history in range(number):
        rule_set = f"h{seed}_{history}"
        states: dict[int, Spans] = {}
        spans: Spans = {}
        seen: dict[tuple[date, int], dict[str, int]] = {}
        for version in range(1, publications + 1):
            rule = draw.choice(RULES)
            start = FIRST + timedelta(days=draw.randrange(DAYS))
            end = None if draw.random() < 0.3 else start + timedelta(days=draw.randrange(400))
            after = changed(spans, rule, start, end, None if draw.random() < 0.15 else version)
            with database.writing() as connection:
                epoch = catalog.publish(
                    connection,
                    TENANT,
                    EpochContent(publications=[(publication(rule_set, after), {}, {})]),
                    "tests",
                    "test",
                    datetime.now(UTC),
                )
                told = first_difference(publication(rule_set, spans).manifest.windows, publication(rule_set, after).manifest.windows)
                # A publication changes no answer outside the dates it names, and the first day it changes is told.
                for day in some_days(draw, after, look_ups // 4):
                    if day < start or (end is not None and day > end):
                        assert look_up(connection, rule_set, day, epoch) == model(spans, day)
                    if told is None or day < told:
                        assert model(after, day) == model(spans, day)
                    compared += 1
                if told is not None:
                    assert model(after, told) != model(spans, told)
            spans = states[epoch] = after
            with database.reading() as connection:
                for day in some_days(draw, after, look_ups):
                    seen[day, epoch] = look_up(connection, rule_set, day, epoch)
                    assert seen[day, epoch] == model(after, day)
                    compared += 1
        with database.reading() as connection:
            # What was answered as known at an epoch is answered so for ever.
            for (day, epoch), answer in seen.items():
                assert look_up(connection, rule_set, day, epoch) == answer
                compared += 1
            assert look_up(connection, rule_set, FIRST, min(states) - 1) == {}
    return compared


def test_the_sql_answers_as_the_model_over_random_histories(database: Database) -> None:
    assert histories(database, 1, number=25, publications=6, look_ups=30) > 10_000


@pytest.mark.deep
def test_the_sql_answers_as_the_model_over_many_random_histories(database: Database) -> None:
    assert histories(database, 2, number=250, publications=12, look_ups=40) > 300_000


def test_an_instant_is_answered_by_the_epoch_known_then(database: Database) -> None:
    moments = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    with database.writing() as connection:
        catalog.ensure_tenant(connection, TENANT, TENANT, moments[0])
        for moment in moments:
            catalog.publish(connection, TENANT, EpochContent(), "tests", "test", moment)
    with database.reading() as connection:
        assert [publication_history.epoch_at(connection, TENANT, moment) for moment in moments] == [1, 2, 3]
        assert publication_history.epoch_at(connection, TENANT, moments[1] - timedelta(microseconds=1)) == 1
        assert publication_history.epoch_at(connection, TENANT, datetime(2025, 12, 31, tzinfo=UTC)) == 0
