"""Ways around change control that were once open: each is refused, audited, and leaves the history true."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rules_service.primitives.errors import Refused
from rules_service.services.acting import Actor
from rules_service.services.emergencies import Emergencies
from rules_service.services.history import History
from rules_service.storage import audit_log, catalog, change_requests, drafts
from rules_service.storage.cipher import ClaimCipher, new_key_text
from rules_service.storage.database import Database
from rules_service.storage.drafts import DraftRecord
from rules_service.storage.key_file import put_first
from tests.governance.people import AUTHOR, OTHER_REVIEWER, PUBLISHER, REVIEWER, TENANT, Office
from tests.support.governance import RULE_SET, future_change, past_change

PLAIN_PUBLISHER = Actor(TENANT, "publisher", PUBLISHER.scopes - {"rules:publish_retroactive"})


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office.open(database, tmp_path)


def actions(database: Database) -> list[str]:
    with database.reading() as connection:
        return [link.columns["action"] for link in audit_log.links(connection, TENANT)]


def test_what_may_not_be_published_into_the_past_may_not_be_scheduled_nor_rolled_back_to(office: Office, database: Database) -> None:
    office.edit(AUTHOR, past_change())
    request = office.approved()
    for attempt in (
        lambda: office.publishing.publish(PLAIN_PUBLISHER, request),
        lambda: office.control.schedule(PLAIN_PUBLISHER, request, datetime.now(UTC) + timedelta(days=1)),
    ):
        with pytest.raises(Refused) as refusal:
            attempt()
        assert refusal.value.code == "insufficient-scope"
    assert {"change_request.published.refused", "change_request.scheduled.refused"} <= set(actions(database))
    assert office.publishing.publish(PUBLISHER, request).number == 2
    with pytest.raises(Refused) as refusal:
        office.publishing.roll_back(PLAIN_PUBLISHER, RULE_SET, 1, "Back")
    assert refusal.value.code == "insufficient-scope"


def test_a_schedule_has_the_scopes_of_who_made_it_also_when_the_day_has_passed_meanwhile(office: Office) -> None:
    office.edit(AUTHOR, future_change())
    request = office.approved()
    office.control.schedule(PLAIN_PUBLISHER, request, datetime.now(UTC) + timedelta(days=1))
    (job,) = office.let_the_time_come()
    assert job.parameters["scopes"] == ["rules:publish"]
    assert job.result is not None
    assert job.result["published"] is True


def test_a_recalled_request_starts_over_and_its_approvals_are_void(office: Office, database: Database) -> None:
    office.edit(AUTHOR, future_change())
    request = office.approved()
    with pytest.raises(Refused):
        office.control.recall(Actor(TENANT, "other author", AUTHOR.scopes), request, "Not mine")
    assert office.control.recall(AUTHOR, request, "One more look").record.state == "draft"
    with pytest.raises(Refused) as refusal:
        office.publishing.publish(PUBLISHER, request)
    assert refusal.value.code == "approvals-missing"
    submitted = office.control.submit(AUTHOR, request).record
    assert submitted.review_cycle == 2
    approved = office.control.review(REVIEWER, request, "approve", submitted.content_sha256, None)
    assert approved.record.state == "approved"
    assert "change_request.recalled" in actions(database)


def test_an_edit_that_voids_approvals_stands_in_the_request_s_own_trail(office: Office, database: Database) -> None:
    office.edit(AUTHOR, future_change())
    request = office.approved()
    office.edit(AUTHOR, {"pack.yaml": ("\ntitle: ", "\ntitle: New ")})
    with database.reading() as connection:
        trail = [link.columns["action"] for link in audit_log.events(connection, TENANT, None, 50, object_id=request)]
    assert trail[0] == "change_request.edited"


def test_a_publication_and_a_rollback_at_once_never_overwrite_each_other(office: Office, database: Database) -> None:
    office.edit(AUTHOR, future_change())
    office.publishing.publish(PUBLISHER, office.approved())
    for number in range(3):
        office.edit(AUTHOR, {"pack.yaml": ("\ntitle: ", f"\ntitle: {number} ")})
        request = office.approved()
        outcomes: dict[str, object] = {}
        barrier = threading.Barrier(2)

        def attempt(name: str, call, *arguments: object) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            try:
                outcomes[name] = call(*arguments).number
            except Refused as refusal:
                outcomes[name] = refusal.code

        threads = [
            threading.Thread(target=attempt, args=("publish", office.publishing.publish, PUBLISHER, request)),
            threading.Thread(target=attempt, args=("roll back", office.publishing.roll_back, PUBLISHER, RULE_SET, 1, "Back")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.reading() as connection:
            record = change_requests.find(connection, TENANT, request)
            numbers = [one.number for one in catalog.publications_of(connection, TENANT, RULE_SET)]
        assert numbers == list(range(1, len(numbers) + 1))
        won = [one for one in outcomes.values() if isinstance(one, int)]
        assert len(won) == len(set(won)) >= 1
        assert record.published_number == (outcomes["publish"] if isinstance(outcomes["publish"], int) else None)
        if len(won) == 2 and number == 0:  # later on, rolling back publishes what the draft was begun on
            assert outcomes["publish"] < outcomes["roll back"], "what was begun on an older publication came after a newer one"
        if record.state != "published":
            office.control.withdraw(AUTHOR, request, "Stale")
            office.drafts.discard(AUTHOR, RULE_SET, office.drafts.read(AUTHOR, RULE_SET).record.etag)


def test_who_approved_a_content_is_known_after_emergencies_and_rollbacks(office: Office, database: Database) -> None:
    office.edit(AUTHOR, future_change())
    request = office.approved()
    office.publishing.publish(PUBLISHER, request)
    emergencies = Emergencies(database, office.jobs)
    emergencies.declare(PUBLISHER, RULE_SET, "EX1-TF-001", None, "It denies wrongly")
    office.publishing.roll_back(PUBLISHER, RULE_SET, 1, "Back")
    office.publishing.roll_back(PUBLISHER, RULE_SET, 2, "And forth")
    told = {entry.record.number: entry for entry in History(database).rule(AUTHOR, "EX1-TF-001")}
    assert {number: entry.change_request_id for number, entry in told.items()} == {1: None, 2: request, 3: request, 4: None, 5: request}
    assert [one.reviewer for one in told[3].approvals] == ["reviewer"]


def test_saves_and_reviews_at_once_never_wait_for_each_other(office: Office) -> None:
    office.edit(AUTHOR, future_change())
    request = office.control.open(AUTHOR, RULE_SET, "A change", "Because").record.change_request_id
    office.control.set_control(PUBLISHER, RULE_SET, change_requests.Control(3), "Three")
    faults: list[BaseException] = []

    def repeat(work) -> None:  # type: ignore[no-untyped-def]
        for turn in range(15):
            try:
                work(turn)
            except Refused:
                pass
            except BaseException as error:  # noqa: BLE001
                faults.append(error)

    def review(who: Actor):  # type: ignore[no-untyped-def]
        return lambda turn: office.control.review(who, request, "approve", office.control.read(who, request).record.content_sha256, None)

    threads = [
        threading.Thread(target=repeat, args=(lambda turn: office.edit(AUTHOR, {"pack.yaml": ("\ntitle: ", f"\ntitle: {turn} ")}),)),
        threading.Thread(target=repeat, args=(review(REVIEWER),)),
        threading.Thread(target=repeat, args=(review(OTHER_REVIEWER),)),
        threading.Thread(target=repeat, args=(lambda turn: office.control.submit(AUTHOR, request),)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_verification_under_writes_sees_one_instant(office: Office, database: Database, tmp_path: Path) -> None:
    from rules_service.services.audit import AuditTrail, signing_key

    trail = AuditTrail(database, signing_key(tmp_path / "audit.key"))
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.002):  # SQLite's lock is unfair: a writer without a pause starves everybody else
            trail.record(TENANT, AUTHOR.event("test.written", "test", "x"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            assert trail.verify(AUTHOR, {}).broken is None
    finally:
        stop.set()
        writer.join()


def test_a_process_seals_with_the_newest_key_though_another_process_put_it_there(tmp_path: Path) -> None:
    one, other = (ClaimCipher.from_settings(None, None, tmp_path) for _ in range(2))
    assert one.key_id == other.key_id
    put_first(tmp_path / "claim.key", new_key_text())
    other.reload()
    assert one.seal(b"claim", "t", "ev_1").key_id == other.key_id
    assert other.open(one.seal(b"claim", "t", "ev_1"), "t", "ev_1") == b"claim"


def test_an_author_s_name_with_a_space_is_one_author(office: Office, database: Database) -> None:
    with database.writing() as connection:
        record = DraftRecord("other_set", 1, 0, {}, "s", ("cli:ada lovelace", "ben"), datetime.now(UTC))
        drafts.save_draft(connection, TENANT, record)
        found = drafts.read_draft(connection, TENANT, "other_set")
    assert found is not None
    assert found.editors == ("cli:ada lovelace", "ben")


def test_a_rule_set_that_asks_for_an_impact_is_not_published_without_one_of_its_content(office: Office, database: Database) -> None:
    office.control.set_control(PUBLISHER, RULE_SET, change_requests.Control(impact_required=True), "Always look first")
    content = office.edit(AUTHOR, future_change())
    request = office.approved()
    with pytest.raises(Refused) as refusal:
        office.publishing.publish(PUBLISHER, request)
    assert refusal.value.code == "impact-missing"
    office.jobs.handle("impact", lambda run: {"share_newly_blocked": "0"})
    with database.writing() as connection:
        office.jobs.make(connection, TENANT, "author", "impact", {"content_sha256": content})
    office.let_the_time_come()
    assert office.publishing.publish(PUBLISHER, request).number == 2
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM publication WHERE tenant_id = 't'")).scalar() == 2
