"""Repository of webhook endpoints and of the deliveries of events to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, insert, select, update

from rules_service.primitives.errors import NotFound
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage import webhook_tables as w
from rules_service.storage.cipher import Sealed
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.storage.outbox import Message

_endpoint = t.core(w.WebhookEndpoint)
_delivery = t.core(w.WebhookDelivery)
_outbox = t.core(g.Outbox)

EndpointState = Literal["active", "disabled"]
DeliveryState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """An endpoint. `secret` and `earlier` are sealed; `state_reason` says why it was disabled."""

    endpoint_id: str
    url: str
    events: tuple[str, ...]
    description: str
    state: EndpointState
    state_reason: str | None
    secret: Sealed
    earlier: Sealed | None
    earlier_until: datetime | None
    lock_version: int
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """What a change of it must name."""
        return f'"{self.lock_version}"'


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """An event on its way to an endpoint."""

    message_id: str
    event: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_failure: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come."""

    tenant_id: str
    endpoint_id: str
    message_id: str
    attempts: int
    due_at: datetime


def _record(row: Any) -> EndpointRecord:
    earlier = None if row.earlier_key_id is None else Sealed(row.earlier_key_id, row.earlier_nonce, row.earlier_ciphertext)
    return EndpointRecord(
        row.endpoint_id, row.url, tuple(row.events.split()), row.description, row.state, row.state_reason,
        Sealed(row.secret_key_id, row.secret_nonce, row.secret_ciphertext), earlier, row.earlier_until,
        row.lock_version, row.created_by, row.created_at, row.updated_at,
    )  # fmt: skip


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of what a record calls by one name."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("secret", "earlier"):
            parts = (None, None, None) if value is None else (value.key_id, value.nonce, value.ciphertext)
            columns |= dict(zip((f"{name}_key_id", f"{name}_nonce", f"{name}_ciphertext"), parts, strict=True))
        else:
            columns[name] = " ".join(value) if name == "events" else value
    return columns


def add(connection: Connection, tenant_id: str, record: EndpointRecord, request: KeyedRequest | None) -> None:
    """Store a new endpoint with the request that makes it."""
    values = {name: getattr(record, name) for name in EndpointRecord.__slots__}
    keyed = {} if request is None else {"request_key": request.key, "request_sha256": request.sha256}
    connection.execute(insert(_endpoint).values(tenant_id=tenant_id, **_columns(values), **keyed))


def find_requested(connection: Connection, tenant_id: str, who: str, key: str) -> tuple[EndpointRecord, str] | None:
    """(endpoint, SHA-256 of the body) of the request with this idempotency key."""
    where = (_endpoint.c.tenant_id == tenant_id, _endpoint.c.created_by == who, _endpoint.c.request_key == key)
    row = connection.execute(select(_endpoint).where(*where)).first()
    return None if row is None else (_record(row), row.request_sha256)


def find(connection: Connection, tenant_id: str, endpoint_id: str, lock: bool = False) -> EndpointRecord:
    """One endpoint; NotFound also for another tenant's."""
    query = select(_endpoint).where(_endpoint.c.tenant_id == tenant_id, _endpoint.c.endpoint_id == endpoint_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("no such webhook endpoint")
    return _record(row)


def listed(connection: Connection, tenant_id: str) -> list[EndpointRecord]:
    """The tenant's endpoints, oldest first."""
    query = select(_endpoint).where(_endpoint.c.tenant_id == tenant_id).order_by(_endpoint.c.endpoint_id)
    return [_record(row) for row in connection.execute(query)]


def change(connection: Connection, tenant_id: str, record: EndpointRecord, now: datetime, **values: Any) -> None:
    """Change an endpoint that was found locked; its version rises."""
    columns = _columns(values) | {"lock_version": record.lock_version + 1, "updated_at": now}
    connection.execute(
        update(_endpoint).where(_endpoint.c.tenant_id == tenant_id, _endpoint.c.endpoint_id == record.endpoint_id).values(**columns)
    )


def remove(connection: Connection, tenant_id: str, endpoint_id: str) -> None:
    """Delete an endpoint with its deliveries."""
    for table in (_delivery, _endpoint):
        connection.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.endpoint_id == endpoint_id))


def add_delivery(connection: Connection, tenant_id: str, endpoint_id: str, message_id: str, now: datetime) -> None:
    """Store that an event is to reach an endpoint, from now on."""
    connection.execute(
        insert(_delivery).values(
            tenant_id=tenant_id, endpoint_id=endpoint_id, outbox_id=message_id, state="waiting", attempts=0, due_at=now
        )
    )  # fmt: skip


def deliveries(
    connection: Connection, tenant_id: str, endpoint_id: str, state: str | None, before: str | None, limit: int
) -> list[DeliveryRecord]:
    """Deliveries to an endpoint, newest event first; those before an event when named."""
    query = _deliveries(tenant_id, endpoint_id)
    if state is not None:
        query = query.where(_delivery.c.state == state)
    if before is not None:
        query = query.where(_delivery.c.outbox_id < before)
    return [_delivery_record(row) for row in connection.execute(query.order_by(_delivery.c.outbox_id.desc()).limit(limit))]


def delivery(connection: Connection, tenant_id: str, endpoint_id: str, message_id: str) -> DeliveryRecord:
    """One delivery, or NotFound."""
    row = connection.execute(_deliveries(tenant_id, endpoint_id).where(_delivery.c.outbox_id == message_id)).first()
    if row is None:
        raise NotFound("no such delivery")
    return _delivery_record(row)


def _deliveries(tenant_id: str, endpoint_id: str) -> Any:
    joined = _delivery.join(_outbox, (_outbox.c.tenant_id == _delivery.c.tenant_id) & (_outbox.c.outbox_id == _delivery.c.outbox_id))
    query = select(_delivery, _outbox.c.event, _outbox.c.created_at).select_from(joined)
    return query.where(_delivery.c.tenant_id == tenant_id, _delivery.c.endpoint_id == endpoint_id)


def _delivery_record(row: Any) -> DeliveryRecord:
    values = {name: getattr(row, name) for name in DeliveryRecord.__slots__ if name != "message_id"}
    return DeliveryRecord(message_id=row.outbox_id, **values)


def due(connection: Connection, now: datetime, limit: int) -> list[Due]:
    """Deliveries of all tenants whose time has come: the longest due of every endpoint, then the second of each, and so on, so that no
    backlog of one endpoint keeps the others out."""
    age = (_delivery.c.due_at, _delivery.c.outbox_id)
    turn = func.row_number().over(partition_by=(_delivery.c.tenant_id, _delivery.c.endpoint_id), order_by=age)
    query = select(_delivery).where(_delivery.c.state == "waiting", _delivery.c.due_at <= now).order_by(turn, *age).limit(limit)
    return [Due(row.tenant_id, row.endpoint_id, row.outbox_id, row.attempts, row.due_at) for row in connection.execute(query)]


def take(connection: Connection, one: Due, now: datetime, left_at: datetime) -> bool:
    """Begin an attempt, which counts as left at an instant; False when another process began it, or it is not due any more."""
    taken = connection.execute(
        _of(one)
        .where(_delivery.c.state == "waiting", _delivery.c.due_at == one.due_at)
        .values(attempts=_delivery.c.attempts + 1, due_at=left_at, last_attempt_at=now)
    )
    return taken.rowcount == 1


def note(connection: Connection, one: Due, **values: Any) -> None:
    """Store what an attempt came to."""
    connection.execute(_of(one).values(**values))


def _of(one: Due) -> Any:
    key = (_delivery.c.tenant_id == one.tenant_id, _delivery.c.endpoint_id == one.endpoint_id, _delivery.c.outbox_id == one.message_id)
    return update(_delivery).where(*key)


def hold_back(connection: Connection, tenant_id: str, endpoint_id: str, until: datetime) -> None:
    """Let the messages that wait for an endpoint and were never tried wait until an instant."""
    connection.execute(_untried(tenant_id, endpoint_id).where(_delivery.c.due_at < until).values(due_at=until))


def let_go(connection: Connection, tenant_id: str, endpoint_id: str, now: datetime) -> None:
    """Make what was held back due."""
    connection.execute(_untried(tenant_id, endpoint_id).where(_delivery.c.due_at > now).values(due_at=now))


def _untried(tenant_id: str, endpoint_id: str) -> Any:
    key = (_delivery.c.tenant_id == tenant_id, _delivery.c.endpoint_id == endpoint_id)
    return update(_delivery).where(*key, _delivery.c.state == "waiting", _delivery.c.attempts == 0)


def waiting_count(connection: Connection, tenant_id: str, endpoint_id: str, event: str) -> int:
    """How many events of a name wait for an endpoint."""
    found = _deliveries(tenant_id, endpoint_id).where(_delivery.c.state == "waiting", _outbox.c.event == event).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def send_again(connection: Connection, tenant_id: str, endpoint_id: str, message_id: str, now: datetime) -> None:
    """Begin a delivery anew, whatever became of it."""
    note(
        connection, Due(tenant_id, endpoint_id, message_id, 0, now),
        state="waiting", attempts=0, due_at=now, last_status=None, last_failure=None, delivered_at=None,
    )  # fmt: skip


def delivered_since(connection: Connection, tenant_id: str, endpoint_id: str, moment: datetime) -> bool:
    """Whether anything reached an endpoint at an instant or later."""
    query = select(_delivery.c.outbox_id).where(
        _delivery.c.tenant_id == tenant_id, _delivery.c.endpoint_id == endpoint_id, _delivery.c.delivered_at >= moment
    )
    return connection.execute(query.limit(1)).first() is not None


def give_up(connection: Connection, tenant_id: str, endpoint_id: str, failure: str) -> None:
    """End every delivery that waits for an endpoint."""
    connection.execute(
        update(_delivery)
        .where(_delivery.c.tenant_id == tenant_id, _delivery.c.endpoint_id == endpoint_id, _delivery.c.state == "waiting")
        .values(state="failed", last_failure=failure)
    )


def forget(connection: Connection, tenant_id: str, before: datetime) -> None:
    """Delete deliveries, ended or not, of events of before an instant."""
    old = select(_outbox.c.outbox_id).where(_outbox.c.tenant_id == tenant_id, _outbox.c.created_at < before)
    connection.execute(delete(_delivery).where(_delivery.c.tenant_id == tenant_id, _delivery.c.outbox_id.in_(old)))


def counts_by_key(connection: Connection) -> dict[str, int]:
    """How many secrets are sealed with each key."""
    counts: dict[str, int] = {}
    for column in (_endpoint.c.secret_key_id, _endpoint.c.earlier_key_id):
        for name, count in connection.execute(select(column, func.count()).where(column.is_not(None)).group_by(column)):
            counts[name] = counts.get(name, 0) + count
    return counts


def subscribers(connection: Connection, message: Message) -> Sequence[str]:
    """Ids of the active endpoints that asked for an event."""
    return [one.endpoint_id for one in listed(connection, message.tenant_id) if one.state == "active" and message.event in one.events]
