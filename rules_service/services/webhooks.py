"""Webhook endpoints: who is told of what, under which secret; and the deliveries an integrator looks at and asks for again."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from rules_service.primitives.errors import InputError, Issue, NotFound, Refused
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.outbound import Outbound
from rules_service.storage import audit_log, catalog, outbox, webhooks
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.storage.webhooks import DeliveryRecord, EndpointRecord
from rules_service.workflow.news import NAMES, SUBSCRIBABLE, WebhookTested

MAX_ENDPOINTS = 50
MAX_WAITING_TESTS = 10
BOTH_SECRETS = timedelta(hours=24)
"""How long after a rotation messages carry a signature by the earlier secret too."""
SHOWN_AGAIN = timedelta(hours=24)
"""How long a request that is sent again is answered with the secret, unless it was rotated."""
SECRET_BYTES = 32


class Webhooks:
    """Use cases of those who manage endpoints."""

    def __init__(self, database: Database, cipher: ClaimCipher, outbound: Outbound) -> None:
        self._database = database
        self._cipher = cipher
        self._outbound = outbound

    def listed(self, actor: Actor) -> list[EndpointRecord]:
        """Endpoints, oldest first."""
        with self._database.reading() as connection:
            return webhooks.listed(connection, actor.tenant_id)

    def read(self, actor: Actor, endpoint_id: str) -> EndpointRecord:
        """One endpoint."""
        with self._database.reading() as connection:
            return webhooks.find(connection, actor.tenant_id, endpoint_id)

    def create(
        self, actor: Actor, url: str, events: Sequence[str], description: str, request: KeyedRequest | None = None
    ) -> tuple[EndpointRecord, str, bool]:
        """(new endpoint, its secret, whether the same request made it before). The secret is shown to who sends that request again within
        a day, and to nobody else. IdempotencyMismatch when another body has its key."""
        chosen = _known(events)
        if request is not None:  # asked before the address is looked up, which may have changed since
            with self._database.reading() as connection:
                made = self._made(connection, actor, request)
            if made is not None:
                return made
        asyncio.run(self._outbound.check(url))
        now, endpoint_id = now_utc(), new_id("we")
        secret = os.urandom(SECRET_BYTES)
        record = EndpointRecord(
            endpoint_id, url, chosen, description, "active", None, self._cipher.seal(secret, actor.tenant_id, endpoint_id), None, None,
            1, actor.name, now, now,
        )  # fmt: skip
        with (
            audited_refusal(self._database, actor, "webhook_endpoint.created", "webhook_endpoint", endpoint_id),
            self._database.writing() as connection,
        ):
            catalog.lock_tenant(connection, actor.tenant_id)
            made = self._made(connection, actor, request)
            if made is not None:
                return made
            if len(webhooks.listed(connection, actor.tenant_id)) >= MAX_ENDPOINTS:
                raise Refused("state-conflict", f"There are {MAX_ENDPOINTS} webhook endpoints already: remove one first.")
            webhooks.add(connection, actor.tenant_id, record, request)
            self._tell(connection, actor, "created", endpoint_id, host=_host(url), events=list(chosen))
        return record, shown(secret), False

    def _made(self, connection: Connection, actor: Actor, request: KeyedRequest | None) -> tuple[EndpointRecord, str, bool] | None:
        if request is None:
            return None
        found = webhooks.find_requested(connection, actor.tenant_id, actor.name, request.key)
        if found is None:
            return None
        record, sha256 = found
        request.must_have_sent(sha256)
        if record.earlier_until is not None or now_utc() - record.created_at > SHOWN_AGAIN:
            raise Refused(
                "state-conflict", "The request made an endpoint whose secret is not shown any more: read it, or rotate its secret."
            )
        return record, shown(self._cipher.open(record.secret, actor.tenant_id, record.endpoint_id)), True

    def change(self, actor: Actor, endpoint_id: str, tag: str, changes: Mapping[str, Any]) -> EndpointRecord:
        """Change url, events, description or state of the endpoint as it was read. What waits goes to the new URL."""
        values = dict(changes)
        if "events" in values:
            values["events"] = _known(values["events"])
        if "url" in values:
            asyncio.run(self._outbound.check(values["url"]))
        if "state" in values:
            values["state_reason"] = None if values["state"] == "active" else "by_hand"
        with (
            audited_refusal(self._database, actor, "webhook_endpoint.changed", "webhook_endpoint", endpoint_id),
            self._database.writing() as connection,
        ):
            record = webhooks.find(connection, actor.tenant_id, endpoint_id, lock=True)
            if tag != record.etag:
                raise Refused("precondition-failed", "The endpoint was changed since: read it again.")
            webhooks.change(connection, actor.tenant_id, record, now_utc(), **values)
            if values.get("state") == "disabled":
                webhooks.give_up(connection, actor.tenant_id, endpoint_id, "endpoint_disabled")
            told: dict[str, Any] = {name: values[name] for name in ("events", "state") if name in values}
            if "url" in values:
                told["host"] = _host(values["url"])
                webhooks.let_go(connection, actor.tenant_id, endpoint_id, now_utc())
            self._tell(connection, actor, "changed", endpoint_id, **told)
            return webhooks.find(connection, actor.tenant_id, endpoint_id)

    def remove(self, actor: Actor, endpoint_id: str) -> None:
        """Forget an endpoint and its deliveries."""
        with self._database.writing() as connection:
            record = webhooks.find(connection, actor.tenant_id, endpoint_id, lock=True)
            webhooks.remove(connection, actor.tenant_id, endpoint_id)
            self._tell(connection, actor, "removed", endpoint_id, host=_host(record.url))

    def rotate_secret(self, actor: Actor, endpoint_id: str) -> tuple[EndpointRecord, str]:
        """A new secret, shown once; for a day messages are signed with the earlier one too."""
        secret = os.urandom(SECRET_BYTES)
        with self._database.writing() as connection:
            record, now = webhooks.find(connection, actor.tenant_id, endpoint_id, lock=True), now_utc()
            sealed = self._cipher.seal(secret, actor.tenant_id, endpoint_id)
            values = {"secret": sealed, "earlier": record.secret, "earlier_until": now + BOTH_SECRETS}
            webhooks.change(connection, actor.tenant_id, record, now, **values)
            self._tell(connection, actor, "secret_rotated", endpoint_id)
            return webhooks.find(connection, actor.tenant_id, endpoint_id), shown(secret)

    def test(self, actor: Actor, endpoint_id: str) -> DeliveryRecord:
        """Have a message of no consequence sent to an endpoint."""
        with self._database.writing() as connection:
            self._require_active(webhooks.find(connection, actor.tenant_id, endpoint_id, lock=True))
            if webhooks.waiting_count(connection, actor.tenant_id, endpoint_id, NAMES[WebhookTested]) >= MAX_WAITING_TESTS:
                raise Refused("state-conflict", f"{MAX_WAITING_TESTS} tests wait for the endpoint already: see its deliveries.")
            now = now_utc()
            message_id = outbox.send_out(connection, actor.tenant_id, WebhookTested(endpoint_id=endpoint_id), now, delivered_at=now)
            webhooks.add_delivery(connection, actor.tenant_id, endpoint_id, message_id, now)
            return webhooks.delivery(connection, actor.tenant_id, endpoint_id, message_id)

    def deliveries(self, actor: Actor, endpoint_id: str, state: str | None, before: str | None, limit: int) -> list[DeliveryRecord]:
        """What was, or is to be, sent to an endpoint, newest first."""
        with self._database.reading() as connection:
            webhooks.find(connection, actor.tenant_id, endpoint_id)
            return webhooks.deliveries(connection, actor.tenant_id, endpoint_id, state, before, limit)

    def redeliver(self, actor: Actor, endpoint_id: str, message_id: str) -> DeliveryRecord:
        """Send a message again, under the same webhook-id, with a schedule that begins anew."""
        with self._database.writing() as connection:
            self._require_active(webhooks.find(connection, actor.tenant_id, endpoint_id))
            webhooks.delivery(connection, actor.tenant_id, endpoint_id, message_id)
            webhooks.send_again(connection, actor.tenant_id, endpoint_id, message_id, now_utc())
            self._tell(connection, actor, "redelivery_asked", endpoint_id, message_id=message_id)
            return webhooks.delivery(connection, actor.tenant_id, endpoint_id, message_id)

    def _require_active(self, record: EndpointRecord) -> None:
        if record.state != "active":
            raise Refused("state-conflict", "The endpoint is disabled: set its state to active first.")

    def _tell(self, connection: Connection, actor: Actor, what: str, endpoint_id: str, **details: Any) -> None:
        event = actor.event(f"webhook_endpoint.{what}", "webhook_endpoint", endpoint_id, None, **details)
        audit_log.append(connection, actor.tenant_id, now_utc(), event)


def seal_anew(database: Database, cipher: ClaimCipher, tenant_id: str) -> int:
    """Seal the tenant's secrets with the current key; how many were sealed with another."""
    with database.reading() as connection:
        found = webhooks.listed(connection, tenant_id)
    done = 0
    for one in found:
        with database.writing() as connection:
            try:
                record = webhooks.find(connection, tenant_id, one.endpoint_id, lock=True)
            except NotFound:
                continue
            old = {
                name: sealed
                for name, sealed in (("secret", record.secret), ("earlier", record.earlier))
                if sealed is not None and sealed.key_id != cipher.key_id
            }
            if old:
                fresh = {
                    name: cipher.seal(cipher.open(sealed, tenant_id, record.endpoint_id), tenant_id, record.endpoint_id)
                    for name, sealed in old.items()
                }
                webhooks.change(connection, tenant_id, record, now_utc(), **fresh)
                done += len(old)
    return done


def shown(secret: bytes) -> str:
    """A secret in the form of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def _known(events: Sequence[str]) -> tuple[str, ...]:
    unknown = [index for index, name in enumerate(events) if name not in SUBSCRIBABLE]
    if unknown:
        raise InputError(
            "Nobody tells of this",
            [
                Issue("unknown_event", f"/events/{index}", "There is no such event.", f"Choose from {', '.join(SUBSCRIBABLE)}.")
                for index in unknown
            ],
        )
    return tuple(dict.fromkeys(events))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
