"""What was published or judged cannot be changed, by any statement, on either database."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rules_service.packs.read import read_pack
from rules_service.primitives.errors import InputError
from rules_service.services.load_packs import load_samples, publish_packs
from rules_service.storage import catalog
from rules_service.storage.cipher import Sealed
from rules_service.storage.database import Database
from rules_service.storage.evaluations import EvaluationRow, insert_rows, read_evaluation

PACKS = Path(__file__).resolve().parents[2] / "payer_rules"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROTECTED = ("blob", "catalog_epoch", "evaluation", "idempotency_record", "payer", "payer_alias", "pin_set", "publication", "publication_window",
             "reference_edition", "rule_set", "rule_version")  # fmt: skip


def row(evaluation_id: str, tenant: str = "t", epoch: int = 1, key: str | None = None) -> EvaluationRow:
    return EvaluationRow(
        tenant, evaluation_id, "li_1", NOW, "cl_1", "EXAMPLE01", "professional", "clean", epoch, "a" * 64, "b" * 64, b"{}", b"{}", None,
        Sealed("k", b"n", b"c"), "c" * 64, 0, {}, key, "f" * 64 if key else None,
    )  # fmt: skip


@pytest.fixture
def filled(database: Database) -> Database:
    load_samples(database, "t", PACKS / "reference_samples", "tests")
    publish_packs(database, "t", [read_pack(PACKS / "example_commercial_ppo")], "tests")
    with database.writing() as connection:
        insert_rows(connection, [row("ev_1", key="once")], set())
    return database


@pytest.mark.parametrize("table", PROTECTED)
@pytest.mark.parametrize("statement", ["UPDATE {} SET tenant_id = 'x'", "DELETE FROM {}", "REPLACE"])
def test_a_protected_row_stays_as_it_is(filled: Database, table: str, statement: str) -> None:
    if statement == "REPLACE":
        statement = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}" if filled.dialect == "sqlite" else "TRUNCATE {} CASCADE"
    with filled.reading() as connection:
        before = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
    assert before
    with pytest.raises(DBAPIError, match=r"append-only"), filled.engine.begin() as connection:
        connection.execute(text(statement.format(table)))
    with filled.reading() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == before


def test_a_claim_body_can_be_erased_and_the_evaluation_stays(filled: Database) -> None:
    with pytest.raises(DBAPIError, match=r"append-only"), filled.engine.begin() as connection:
        connection.execute(text("UPDATE claim_body SET key_id = 'x'"))
    with filled.writing() as connection:
        connection.execute(text("DELETE FROM claim_body"))
    with filled.reading() as connection:
        stored = read_evaluation(connection, "t", "ev_1")
    assert stored.sealed is None
    assert stored.body == b"{}"


def test_a_publication_is_all_or_nothing(filled: Database) -> None:
    pack = read_pack(PACKS / "national_baseline")
    with filled.reading() as connection:
        before = catalog.current_epoch(connection, "t")
    content = catalog.EpochContent()
    content.publications.append((pack.publication(), pack.tables, pack.files()))
    content.payers.append(catalog.PayerRecord("P", "P", aliases={"P": "alias"}))
    with pytest.raises(RuntimeError, match="power cut"), filled.writing() as connection:
        catalog.publish(connection, "t", content, "tests", "test", NOW)
        raise RuntimeError("power cut")
    with filled.reading() as connection:
        assert catalog.current_epoch(connection, "t") == before
        assert catalog.publications(connection, "t", 10_000, "national_baseline") == []


def test_a_name_that_would_lead_to_two_payers_is_refused_and_nothing_is_published(filled: Database) -> None:
    with filled.reading() as connection:
        before = catalog.current_epoch(connection, "t")
        taken = next(iter(catalog.payers(connection, "t", before)[0].aliases))
    content = catalog.EpochContent(payers=[catalog.PayerRecord("P", "P", aliases={taken: "alias"})])
    with pytest.raises(InputError, match="Two payers have one name"), filled.writing() as connection:
        catalog.publish(connection, "t", content, "tests", "test", NOW)
    with filled.reading() as connection:
        assert catalog.current_epoch(connection, "t") == before


def test_known_at_rises_with_every_epoch_even_when_the_clock_does_not(filled: Database) -> None:
    for _ in range(3):
        with filled.writing() as connection:
            catalog.publish(connection, "t", catalog.EpochContent(), "tests", "test", datetime(2020, 1, 1, tzinfo=UTC))
    with filled.reading() as connection:
        known = list(connection.execute(text("SELECT known_at FROM catalog_epoch ORDER BY epoch")).scalars())
    assert known == sorted(set(known))
    assert len(known) > 3


def test_payers_are_those_of_their_epoch(filled: Database) -> None:
    with filled.writing() as connection:
        content = catalog.EpochContent(payers=[catalog.PayerRecord("NEW", "New payer", "commercial", None, {"NEWP": "alias"})])
        epoch = catalog.publish(connection, "t", content, "tests", "test", NOW)
    with filled.reading() as connection:
        assert [one.payer_id for one in catalog.payers(connection, "t", epoch - 1)] == ["EXAMPLE01"]
        assert [one.payer_id for one in catalog.payers(connection, "t", epoch)] == ["EXAMPLE01", "NEW"]
