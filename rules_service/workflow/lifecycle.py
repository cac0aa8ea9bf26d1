"""The lifecycle of a change request: which action leads from which state to which.

draft -> in_review -> approved -> scheduled -> published, with changes_requested, rejected, withdrawn and publish_failed.
An edit of the content, and a recall by its authors, lead back to draft and begin a new review cycle: every approval given before is void. An impact
above the rule set's share leads back to review (`ask_again`): the approvals stand, and one more is needed.
"""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["draft", "in_review", "changes_requested", "approved", "scheduled", "published", "rejected", "withdrawn", "publish_failed"]
Action = Literal[
    "edit", "submit", "recall", "approve", "request_changes", "reject", "ask_again", "schedule", "unschedule", "publish", "fail", "withdraw"
]
Verdict = Literal["approve", "request_changes", "reject"]

STATES: tuple[State, ...] = get_args(State)
OPEN: frozenset[State] = frozenset({"draft", "in_review", "changes_requested", "approved", "scheduled", "publish_failed"})
"""States in which a change request still stands; a rule set has at most one in these."""

_FROM: dict[Action, frozenset[State]] = {
    "edit": OPEN,
    "submit": frozenset({"draft", "changes_requested", "publish_failed"}),
    "recall": frozenset({"in_review", "approved", "scheduled"}),
    "approve": frozenset({"in_review"}),
    "request_changes": frozenset({"in_review"}),
    "reject": frozenset({"in_review"}),
    "ask_again": frozenset({"in_review", "approved", "scheduled"}),
    "schedule": frozenset({"approved", "scheduled"}),
    "unschedule": frozenset({"scheduled"}),
    "publish": frozenset({"approved", "scheduled"}),
    "fail": frozenset({"approved", "scheduled"}),
    "withdraw": OPEN,
}
_TO: dict[Action, State] = {
    "edit": "draft",
    "submit": "in_review",
    "recall": "draft",
    "approve": "approved",
    "request_changes": "changes_requested",
    "reject": "rejected",
    "ask_again": "in_review",
    "schedule": "scheduled",
    "unschedule": "approved",
    "publish": "published",
    "fail": "publish_failed",
    "withdraw": "withdrawn",
}


def after(state: State, action: Action) -> State | None:
    """The state an action leads to; None when the state refuses it."""
    return _TO[action] if state in _FROM[action] else None


def allowed(state: State) -> tuple[Action, ...]:
    """The actions a state takes, in the order of the lifecycle."""
    return tuple(action for action, states in _FROM.items() if state in states)
