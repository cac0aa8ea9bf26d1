"""Events reach the endpoints that asked for them: signed, once if all goes well, again until they arrive, and never half."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

from rules_service.primitives.errors import Refused
from rules_service.services.acting import Actor
from rules_service.services.outbound import Outbound
from rules_service.services.webhook_delivery import ROUND_MESSAGES, SPREAD, WAITS, WebhookDelivery, body_of
from rules_service.services.webhooks import MAX_ENDPOINTS, MAX_WAITING_TESTS, Webhooks, seal_anew
from rules_service.storage import audit_log, catalog, outbox, webhooks
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.outbox import Message
from rules_service.storage.webhooks import DeliveryRecord
from rules_service.workflow.news import EVENTS, JobFinished, RuleSetPublished
from tests.support.generate import ROOT
from tests.support.receiver import Receiver, receiving

TENANT, OTHER = "t", "other"
MANAGER = Actor(TENANT, "manager", frozenset({"webhooks:manage"}))
STRANGER = Actor(OTHER, "stranger", frozenset({"webhooks:manage"}))
LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Post:
    """A database with its endpoints, and the round that serves them by a clock of its own."""

    database: Database
    cipher: ClaimCipher
    webhooks: Webhooks
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def delivery(self) -> WebhookDelivery:
        return WebhookDelivery(self.database, self.cipher, Outbound(LOOPBACK), lambda: self.now)

    def publish(self, number: int = 1, tenant_id: str = TENANT) -> str:
        news = RuleSetPublished(rule_set_id="rules", number=number, catalog_epoch=number)
        with self.database.writing() as connection:
            return outbox.send_out(connection, tenant_id, news, self.now)

    def run(self, later: timedelta = timedelta()) -> None:
        self.now += later
        self.delivery.run()

    def one(self, endpoint_id: str) -> DeliveryRecord:
        (found,) = self.webhooks.deliveries(MANAGER, endpoint_id, None, None, 10)
        return found


@pytest.fixture
def post(database: Database) -> Post:
    with database.writing() as connection:
        for tenant in (TENANT, OTHER):
            catalog.ensure_tenant(connection, tenant, tenant, datetime.now(UTC))
    cipher = ClaimCipher([os.urandom(32)], os.urandom(32))
    return Post(database, cipher, Webhooks(database, cipher, Outbound(LOOPBACK)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def test_the_signature_is_that_of_the_specification() -> None:
    """The vector of the Standard Webhooks specification and its libraries."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
    moment = datetime.fromtimestamp(1_614_265_330, UTC)
    assert Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", moment, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert Webhook(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", moment, body).endswith("OE=")


def test_an_event_arrives_once_signed_and_says_ids_only(post: Post, receiver: Receiver) -> None:
    record, secret, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published", "job.finished"], "ours")
    message_id = post.publish(7)
    post.run()
    post.run(timedelta(days=1))
    (event,) = receiver.verified(secret)
    assert event == {
        "type": "rule_set.published",
        "timestamp": event["timestamp"],
        "data": {"rule_set_id": "rules", "number": 7, "catalog_epoch": 7},
    }
    assert receiver.arrived[0][0]["webhook-id"] == message_id
    found = post.one(record.endpoint_id)
    assert (found.message_id, found.state, found.attempts, found.last_status) == (message_id, "delivered", 1, 200)


def test_nobody_else_is_told(post: Post, receiver: Receiver) -> None:
    post.webhooks.create(MANAGER, receiver.url(path="/jobs"), ["job.finished"], "")
    post.webhooks.create(STRANGER, receiver.url(path="/stranger"), ["rule_set.published"], "")
    post.publish()
    post.run()
    assert receiver.arrived == []
    with post.database.writing() as connection:
        outbox.send_out(connection, TENANT, JobFinished(job_id="jb_1", kind="impact", state="succeeded"), post.now)
    post.run()
    assert [event["type"] for event in receiver.events()] == ["job.finished"]


def test_what_was_told_before_an_endpoint_was_made_is_not_sent_to_it(post: Post, receiver: Receiver) -> None:
    post.publish(1)
    post.run()
    post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    post.publish(2)
    post.run()
    assert [event["data"]["number"] for event in receiver.events()] == [2]


def test_a_transaction_that_is_rolled_back_tells_nothing(post: Post, receiver: Receiver) -> None:
    post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    with pytest.raises(RuntimeError), post.database.writing() as connection:
        outbox.send_out(connection, TENANT, RuleSetPublished(rule_set_id="r", number=1, catalog_epoch=1), post.now)
        raise RuntimeError
    post.run()
    assert receiver.arrived == []


def test_a_message_is_sent_again_on_schedule_and_the_endpoint_disabled_at_its_end(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    message_id = post.publish()
    for attempt, wait in enumerate(WAITS, 1):
        receiver.statuses = [500]
        post.run()
        found = post.one(record.endpoint_id)
        assert (found.state, found.attempts, found.last_status, found.last_failure) == ("waiting", attempt, 500, "status")
        assert wait <= found.due_at - post.now <= wait * (1 + SPREAD)
        post.run(found.due_at - post.now - timedelta(seconds=1))
        assert len(receiver.arrived) == attempt, "it is not sent before its time"
        post.now = found.due_at
    receiver.statuses = [500]
    post.run()
    found = post.one(record.endpoint_id)
    assert (found.state, found.attempts) == ("failed", len(WAITS) + 1)
    assert {headers["webhook-id"] for headers, _ in receiver.arrived} == {message_id}
    assert len({body for _, body in receiver.arrived}) == 1
    endpoint = post.webhooks.read(MANAGER, record.endpoint_id)
    assert (endpoint.state, endpoint.state_reason) == ("disabled", "nothing_arrived")
    with post.database.reading() as connection:
        (event,) = audit_log.events(connection, TENANT, None, 10, action="webhook_endpoint.disabled")
    assert event.seq


def test_an_endpoint_that_takes_other_messages_is_not_disabled_for_one(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    post.publish(1)
    for _ in WAITS:
        receiver.statuses = [422]
        post.run()
        post.now = post.one(record.endpoint_id).due_at
    post.now -= timedelta(hours=1)
    post.publish(2)
    post.run()
    receiver.statuses = [422]
    post.run(timedelta(hours=1))
    assert [one.state for one in post.webhooks.deliveries(MANAGER, record.endpoint_id, None, None, 10)] == ["delivered", "failed"]
    assert post.webhooks.read(MANAGER, record.endpoint_id).state == "active"


def test_an_endpoint_that_is_gone_is_disabled_at_once_with_all_that_waits(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    for number in range(3):
        post.publish(number)
    receiver.statuses = [410]
    post.run()
    assert len(receiver.arrived) == 1
    endpoint = post.webhooks.read(MANAGER, record.endpoint_id)
    assert (endpoint.state, endpoint.state_reason) == ("disabled", "gone")
    found = post.webhooks.deliveries(MANAGER, record.endpoint_id, "failed", None, 10)
    assert [one.last_failure for one in found] == ["endpoint_disabled", "endpoint_disabled", "status"]
    post.publish(9)
    post.run()
    assert len(receiver.arrived) == 1
    with pytest.raises(Refused, match="disabled"):
        post.webhooks.redeliver(MANAGER, record.endpoint_id, found[0].message_id)
    endpoint = post.webhooks.change(MANAGER, record.endpoint_id, endpoint.etag, {"state": "active"})
    assert endpoint.state_reason is None
    post.webhooks.redeliver(MANAGER, record.endpoint_id, found[0].message_id)
    post.run(timedelta(seconds=1))
    assert receiver.events()[-1]["data"]["number"] == 2


def test_messages_of_one_endpoint_come_in_order_and_a_dead_one_holds_up_no_other(post: Post, receiver: Receiver) -> None:
    with receiving() as dead:
        url = dead.url()
    post.webhooks.create(MANAGER, url, ["rule_set.published"], "dead")
    post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "alive")
    for number in range(20):
        post.publish(number)
        time.sleep(0.002)  # those of one millisecond have no order
    post.run()
    assert [event["data"]["number"] for event in receiver.events()] == list(range(20))


def test_both_secrets_sign_for_a_day_after_a_rotation(post: Post, receiver: Receiver) -> None:
    record, first, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    rotated, second = post.webhooks.rotate_secret(MANAGER, record.endpoint_id)
    assert first != second
    assert rotated.earlier_until is not None
    post.publish(1)
    post.run()
    assert receiver.verified(first) == receiver.verified(second)
    post.now = rotated.earlier_until + timedelta(seconds=1)
    post.publish(2)
    post.run()
    headers, body = receiver.arrived[-1]
    assert len(headers["webhook-signature"].split()) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(body, headers)


def test_an_altered_body_or_an_old_message_does_not_verify(post: Post, receiver: Receiver) -> None:
    _, secret, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    post.now -= timedelta(minutes=6)
    post.publish()
    post.run()
    ((headers, body),) = receiver.arrived
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b'"number":1', b'"number":2'), headers)


def test_rounds_side_by_side_send_each_message_once(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    for number in range(15):
        post.publish(number)
    receiver.seconds = 0.01
    rounds = [threading.Thread(target=post.delivery.run) for _ in range(4)]
    for one in rounds:
        one.start()
    for one in rounds:
        one.join()
    post.run()
    assert sorted(event["data"]["number"] for event in receiver.events()) == list(range(15))
    assert {one.state for one in post.webhooks.deliveries(MANAGER, record.endpoint_id, None, None, 100)} == {"delivered"}


def test_the_backlog_of_a_dead_endpoint_holds_up_no_other(post: Post, receiver: Receiver) -> None:
    post.webhooks.create(MANAGER, "http://127.0.0.1:9/", ["rule_set.published"], "")  # nobody listens there
    for number in range(ROUND_MESSAGES + 20):
        post.publish(number)
    post.delivery.pass_on()
    post.webhooks.create(STRANGER, receiver.url(), ["rule_set.published"], "")
    post.now += timedelta(seconds=1)
    post.publish(7, OTHER)
    post.delivery.pass_on()
    post.delivery.pass_on()  # what did not fit into one round
    post.delivery.send_due()
    assert [event["data"]["number"] for event in receiver.events()] == [7]


def test_after_a_failure_the_backlog_of_an_endpoint_waits_and_follows_when_one_arrives(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    for number in range(5):
        post.publish(number)
        time.sleep(0.002)  # those of one millisecond have no order
    receiver.statuses = [503]
    post.run()
    post.run(timedelta(seconds=1))
    assert len(receiver.arrived) == 1, "the endpoint is not tried with each of its messages"
    first = min(post.webhooks.deliveries(MANAGER, record.endpoint_id, None, None, 10), key=lambda one: one.due_at)
    post.now = first.due_at
    post.run()
    post.run(timedelta(seconds=1))
    assert [event["data"]["number"] for event in receiver.events()] == [0, 0, 1, 2, 3, 4]


def test_a_message_that_is_refused_holds_up_no_other(post: Post, receiver: Receiver) -> None:
    post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    for number in range(6):
        post.publish(number)
        time.sleep(0.002)  # those of one millisecond have no order
    receiver.statuses = [422, 200, 400, 200, 403, 200]
    post.run()
    assert [event["data"]["number"] for event in receiver.events()] == list(range(6)), "each was tried in one round"


def test_what_was_held_back_goes_to_the_new_url_at_once(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, "http://127.0.0.1:9/", ["rule_set.published"], "")  # nobody listens there
    for number in range(3):
        post.publish(number)
        time.sleep(0.002)
    post.run()
    post.webhooks.change(MANAGER, record.endpoint_id, record.etag, {"url": receiver.url()})
    post.run(timedelta(seconds=1))
    assert [event["data"]["number"] for event in receiver.events()] == [1, 2], "the one that failed has a time of its own"


def test_only_so_many_tests_wait_for_an_endpoint(post: Post) -> None:
    record, _, _ = post.webhooks.create(MANAGER, "http://127.0.0.1:9/", ["job.finished"], "")
    for _ in range(MAX_WAITING_TESTS):
        post.webhooks.test(MANAGER, record.endpoint_id)
    with pytest.raises(Refused, match="wait for the endpoint"):
        post.webhooks.test(MANAGER, record.endpoint_id)


def test_an_attempt_that_was_cut_off_is_taken_up_again(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    post.publish()
    post.delivery.pass_on()
    with post.database.writing() as connection:  # a process takes it, and is killed before it sends
        (due,) = webhooks.due(connection, post.now, 10)
        assert webhooks.take(connection, due, post.now, post.now + timedelta(seconds=60))
    post.run()
    assert receiver.arrived == []
    post.run(timedelta(seconds=61))
    assert (len(receiver.arrived), post.one(record.endpoint_id).attempts) == (1, 2)


def test_a_removed_endpoint_is_forgotten_with_its_deliveries(post: Post, receiver: Receiver) -> None:
    record, _, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    post.publish()
    post.delivery.pass_on()
    post.webhooks.remove(MANAGER, record.endpoint_id)
    post.run()
    assert receiver.arrived == []
    assert post.webhooks.listed(MANAGER) == []


def test_secrets_are_sealed_and_follow_the_claim_key(post: Post, receiver: Receiver) -> None:
    old, new = os.urandom(32), os.urandom(32)
    post.cipher = ClaimCipher([old], os.urandom(32))
    post.webhooks = Webhooks(post.database, post.cipher, Outbound(LOOPBACK))
    record, first, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    _, second = post.webhooks.rotate_secret(MANAGER, record.endpoint_id)
    with post.database.reading() as connection:
        rows = connection.execute(text("SELECT secret_ciphertext, earlier_ciphertext FROM webhook_endpoint")).all()
    stored = b"".join(bytes(one) for row in rows for one in row)
    assert all(base64.b64decode(secret.removeprefix("whsec_")) not in stored for secret in (first, second))
    both = ClaimCipher([new, old], os.urandom(32))
    assert (seal_anew(post.database, both, TENANT), seal_anew(post.database, both, TENANT)) == (2, 0)
    post.cipher = ClaimCipher([new], os.urandom(32))
    with post.database.reading() as connection:
        assert webhooks.counts_by_key(connection) == {post.cipher.key_id: 2}
    post.publish()
    post.run()
    assert receiver.verified(first) == receiver.verified(second)


def test_no_more_endpoints_than_can_be_looked_after(post: Post) -> None:
    for _ in range(MAX_ENDPOINTS):
        post.webhooks.create(MANAGER, "http://127.0.0.1:9/", ["job.finished"], "")
    with pytest.raises(Refused, match="remove one"):
        post.webhooks.create(MANAGER, "http://127.0.0.1:9/", ["job.finished"], "")


def test_the_receiver_of_the_docs_takes_each_message_once(post: Post, receiver: Receiver) -> None:
    page = (ROOT / "docs/webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # what a reader copies
    record, secret, _ = post.webhooks.create(MANAGER, receiver.url(), ["rule_set.published"], "")
    message_id = post.publish()
    post.run()
    post.webhooks.redeliver(MANAGER, record.endpoint_id, message_id)
    post.run(timedelta(seconds=1))
    seen: set[str] = set()
    first, second = (names["receive"](secret, headers, body, seen) for headers, body in receiver.arrived)
    assert (first["type"], second) == ("rule_set.published", None)


@pytest.mark.parametrize("name", EVENTS)
def test_the_docs_and_the_contract_name_every_event_with_what_it_carries(name: str) -> None:
    page = (ROOT / "docs/webhooks.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line]
    fields = EVENTS[name].__struct_fields__
    assert [field for field in fields if f"`{field}`" not in line] == []
    document = json.loads((ROOT / "openapi/openapi.json").read_text())
    schema = document["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["type"] == {"const": name}
    data = document["components"]["schemas"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    assert sorted(data["properties"]) == sorted(fields)


def test_the_body_is_the_same_bytes_at_every_attempt() -> None:
    message = Message(
        TENANT, "ob_1", "job.finished", b'{"job_id":"jb_1","kind":"impact","state":"failed"}', datetime(2026, 11, 26, tzinfo=UTC)
    )
    assert body_of(message) == (
        b'{"type":"job.finished","timestamp":"2026-11-26T00:00:00+00:00","data":{"job_id":"jb_1","kind":"impact","state":"failed"}}'
    )
