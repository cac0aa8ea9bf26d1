"""Repository of cards shown before a service and of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from rules_service.primitives.errors import NotFound
from rules_service.storage import advice_tables as a
from rules_service.storage import tables as t
from rules_service.storage.ids import new_id

_card = t.core(a.AdviceCard)
_feedback = t.core(a.AdviceFeedback)


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card with the rule that said it."""

    card_id: str
    hook: str
    rule_id: str
    rule_version: int
    code: str
    indicator: str
    override_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of a card; `fixes_taken` are the positions of the fixes among those of its finding, such as `0,2`."""

    card_id: str
    outcome: str
    reason_code: str | None
    fixes_taken: str | None = None


@dataclass(frozen=True, slots=True)
class AdviceOutcome:
    """What became of the cards of one version of a rule that said one thing: counts, overrides by reason, fixes taken by position."""

    rule_version: int
    code: str
    shown: int
    accepted: int
    overridden: int
    reasons: dict[str, int]
    fixes_taken: dict[str, int]


def add_cards(connection: Connection, tenant_id: str, client_id: str, cards: Sequence[ShownCard], now: datetime) -> None:
    """Keep the cards that are about to be shown."""
    rows = [
        {name: getattr(card, name) for name in ShownCard.__slots__}
        | {"override_reasons": " ".join(card.override_reasons), "tenant_id": tenant_id, "client_id": client_id, "shown_at": now}
        for card in cards
    ]
    connection.execute(insert(_card), rows)


def add_feedback(connection: Connection, tenant_id: str, client_id: str, hook: str, told: Sequence[Feedback], now: datetime) -> None:
    """Keep what became of the cards that hook showed this client, each with its reason when the card offered it; NotFound when it was
    shown none of them."""
    wanted = sorted({one.card_id for one in told})
    query = select(_card.c.card_id, _card.c.override_reasons).where(
        _card.c.tenant_id == tenant_id, _card.c.client_id == client_id, _card.c.hook == hook, _card.c.card_id.in_(wanted)
    )
    offered = {row.card_id: frozenset(row.override_reasons.split()) for row in connection.execute(query)}
    if not offered:
        raise NotFound("no such card")
    rows = [
        {name: getattr(one, name) for name in Feedback.__slots__}
        | {"reason_code": one.reason_code if one.reason_code in offered[one.card_id] else None}
        | {"tenant_id": tenant_id, "feedback_id": new_id("fb"), "client_id": client_id, "received_at": now}
        for one in told
        if one.card_id in offered
    ]
    connection.execute(insert(_feedback), rows)


def outcomes(connection: Connection, tenant_id: str, rule_id: str) -> list[AdviceOutcome]:
    """What became of a rule's cards, newest version first; of a card that was told of twice the last word counts."""
    mine = (_card.c.tenant_id == tenant_id, _card.c.rule_id == rule_id)
    of = (_card.c.rule_version, _card.c.code)
    shown = connection.execute(
        select(*of, func.count()).where(*mine).group_by(*of).order_by(_card.c.rule_version.desc(), _card.c.code)
    ).all()
    joined = _feedback.join(_card, (_card.c.tenant_id == _feedback.c.tenant_id) & (_card.c.card_id == _feedback.c.card_id))
    told = select(*of, _card.c.card_id, _feedback.c.outcome, _feedback.c.reason_code, _feedback.c.fixes_taken)
    last = {row.card_id: row for row in connection.execute(told.select_from(joined).where(*mine).order_by(_feedback.c.feedback_id))}
    found = []
    for version, code, count in shown:
        rows = [row for row in last.values() if (row.rule_version, row.code) == (version, code)]
        found.append(
            AdviceOutcome(
                version,
                code,
                count,
                sum(row.outcome == "accepted" for row in rows),
                sum(row.outcome == "overridden" for row in rows),
                _counts(row.reason_code for row in rows),
                _counts(fix for row in rows for fix in (row.fixes_taken or "").split(",")),
            )
        )
    return found


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(one for one in values if one).items()))
