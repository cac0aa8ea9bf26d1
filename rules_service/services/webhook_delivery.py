"""Passes events on: each to the endpoints that asked for it, signed as Standard Webhooks say, again until it arrives or days have passed.

At least once: a process that is killed while it sends leaves a delivery another one takes up. A receiver knows a repetition by its
webhook-id. Endpoints are served side by side, the messages of one endpoint one after another.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import msgspec
from sqlalchemy import Connection
from standardwebhooks import Webhook

from rules_service import __version__
from rules_service.primitives.errors import NotFound
from rules_service.services.acting import now_utc
from rules_service.services.outbound import Outbound, Sent
from rules_service.storage import audit_log, outbox, webhooks
from rules_service.storage.cipher import ClaimCipher, Sealed
from rules_service.storage.database import Database
from rules_service.storage.outbox import Message
from rules_service.storage.webhooks import Due, EndpointRecord
from rules_service.workflow.audit_chain import Event

logger = logging.getLogger(__name__)
WAITS = tuple(timedelta(seconds=one) for one in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""From each attempt that failed to the next one (the example schedule of Standard Webhooks): ten attempts in three days and a half."""
SPREAD = 0.1
"""Share by which a wait is lengthened at random, so that what failed together does not come back together."""
PAUSE = timedelta(minutes=5)
"""How long the untried messages of an endpoint wait after one that failed: a dead endpoint is not tried with each of its backlog."""
LEASE = timedelta(seconds=60)
ROUND_MESSAGES = 500
SIDE_BY_SIDE = 16
ENDPOINT_SECONDS = 30.0
"""How long one endpoint's messages may hold a round."""
GONE = 410
BUSY = frozenset({408, 425, 429})
"""Of the 4xx those that say something of the endpoint, and not of the message."""


class WebhookDelivery:
    """The round every process that runs jobs makes."""

    def __init__(self, database: Database, cipher: ClaimCipher, outbound: Outbound, clock: Callable[[], datetime] = now_utc) -> None:
        self._database = database
        self._cipher = cipher
        self._outbound = outbound
        self._now = clock

    def run(self) -> None:
        """Pass on what was written to the outbox, and send what is due."""
        self.pass_on()
        self.send_due()

    def pass_on(self) -> None:
        """Make the deliveries of events that have none yet; each event once, with its endpoints as they are now."""
        with self._database.reading() as connection:
            if not outbox.has_waiting(connection):
                return
        with self._database.writing() as connection:
            now = self._now()
            for message in outbox.waiting(connection, ROUND_MESSAGES):
                for endpoint_id in webhooks.subscribers(connection, message):
                    webhooks.add_delivery(connection, message.tenant_id, endpoint_id, message.message_id, now)
                outbox.passed_on(connection, message, now)

    def send_due(self) -> None:
        """Try every delivery whose time has come."""
        with self._database.reading() as connection:
            due = webhooks.due(connection, self._now(), ROUND_MESSAGES)
        if due:
            asyncio.run(self._send_all(due))

    async def _send_all(self, due: Sequence[Due]) -> None:
        def endpoint(one: Due) -> tuple[str, str]:
            return one.tenant_id, one.endpoint_id

        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def serve(messages: Sequence[Due]) -> None:
            async with gate:
                ends = asyncio.get_running_loop().time() + ENDPOINT_SECONDS
                for one in messages:
                    # An endpoint that does not answer now is left until the next round, so that it holds up no other.
                    if asyncio.get_running_loop().time() > ends or not await self._try(one):
                        return

        ordered = sorted(due, key=lambda one: (*endpoint(one), one.message_id))
        served = (serve(list(messages)) for _, messages in groupby(ordered, key=endpoint))
        for fault in await asyncio.gather(*served, return_exceptions=True):
            if fault is not None:  # the lease of its delivery runs out, and it is tried again
                logger.warning("the deliveries of a webhook endpoint failed: %s", type(fault).__name__)

    async def _try(self, one: Due) -> bool:
        """One attempt; False when the endpoint takes no messages now. One that refuses this message may take others."""
        started = self._now()
        with self._database.writing() as connection:
            if not webhooks.take(connection, one, started, started + LEASE):
                return True
            endpoint = webhooks.find(connection, one.tenant_id, one.endpoint_id)
            message = outbox.message(connection, one.tenant_id, one.message_id)
        sent = await self._outbound.post(endpoint.url, self._headers(endpoint, message, one.tenant_id, started), body_of(message))
        with self._database.writing() as connection:
            self._note(connection, one, message, sent)
        return sent.failure is None or _is_refusal(sent)

    def _headers(self, endpoint: EndpointRecord, message: Message, tenant_id: str, now: datetime) -> dict[str, str]:
        secrets = [endpoint.secret]
        if endpoint.earlier is not None and endpoint.earlier_until is not None and endpoint.earlier_until > now:
            secrets.append(endpoint.earlier)
        signatures = [self._signature(sealed, tenant_id, endpoint.endpoint_id, message, now) for sealed in secrets]
        return {
            "content-type": "application/json",
            "user-agent": f"payer-rules-service/{__version__}",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    def _signature(self, sealed: Sealed, tenant_id: str, endpoint_id: str, message: Message, now: datetime) -> str:
        secret = self._cipher.open(sealed, tenant_id, endpoint_id)
        return Webhook(secret).sign(message.message_id, now, body_of(message).decode())

    def _note(self, connection: Connection, one: Due, message: Message, sent: Sent) -> None:
        now, attempts = self._now(), one.attempts + 1
        if sent.failure is None:
            webhooks.note(connection, one, state="delivered", delivered_at=now, last_status=sent.status, last_failure=None)
            webhooks.let_go(connection, one.tenant_id, one.endpoint_id, now)
            return
        if not _is_refusal(sent):
            webhooks.hold_back(connection, one.tenant_id, one.endpoint_id, now + PAUSE)
        is_last = attempts > len(WAITS) or sent.status == GONE
        told = {"last_status": sent.status, "last_failure": sent.failure}
        if is_last:
            webhooks.note(connection, one, state="failed", **told)
        else:
            webhooks.note(connection, one, due_at=now + WAITS[attempts - 1] * (1 + SPREAD * random.random()), **told)  # noqa: S311  it spreads retries, nothing more
        if sent.status == GONE:
            self._disable(connection, one, "gone", now)
        elif is_last and not webhooks.delivered_since(connection, one.tenant_id, one.endpoint_id, message.created_at):
            self._disable(connection, one, "nothing_arrived", now)

    def _disable(self, connection: Connection, one: Due, reason: str, now: datetime) -> None:
        """Send nothing more to an endpoint that said it is gone, or that took nothing in the days one message was tried."""
        try:
            record = webhooks.find(connection, one.tenant_id, one.endpoint_id, lock=True)
        except NotFound:
            return  # removed meanwhile
        if record.state == "active":
            webhooks.change(connection, one.tenant_id, record, now, state="disabled", state_reason=reason)
            webhooks.give_up(connection, one.tenant_id, one.endpoint_id, "endpoint_disabled")
            event = Event("delivery", "webhook_endpoint.disabled", "webhook_endpoint", one.endpoint_id, details={"because": reason})
            audit_log.append(connection, one.tenant_id, now, event)


def _is_refusal(sent: Sent) -> bool:
    """Whether an endpoint that is there refused a message."""
    return sent.status is not None and 400 <= sent.status < 500 and sent.status != GONE and sent.status not in BUSY


def body_of(message: Message) -> bytes:
    """The body, the same bytes at every attempt."""
    told = {"type": message.event, "timestamp": message.created_at.isoformat(), "data": msgspec.Raw(message.payload)}
    return msgspec.json.encode(told)
