"""Every error this project raises on purpose.

RulesServiceError
├── InputError            the caller's input cannot be used; carries issues that say what, where and how to mend it
│   ├── MalformedBody     not JSON, not X12, not UTF-8: nothing could be read (HTTP 400)
│   ├── InvalidClaim      it was read, but it is not a claim (HTTP 422)
│   ├── X12Error          an envelope or segment that cannot be read (HTTP 422)
│   ├── PackFault         a rule pack with at least one fault: nothing of it is loaded
│   ├── RuleRefused       a condition or parameter the engine must not be handed
│   └── ReferenceFault    a reference-table file with at least one bad row: nothing of it is loaded
├── NotFound              no such object for this tenant
├── StateConflict         the transition is refused by the state the object is in
│   └── IdempotencyMismatch  the idempotency key was used with another body
├── Refused               an act that governance does not allow now: a stable code, the state it is in, what is missing
├── EngineFault           the engine could not judge the claim whole: an error, never "clean"
└── StorageUnavailable    the database is locked, full or away: try again (HTTP 503)

No message ever holds a value taken from a claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault in an input: a stable code, where it stands, what is wrong and how to mend it."""

    code: str
    where: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.code}: {self.message}" + (f" {self.mend}" if self.mend else "")

    def plain(self) -> dict[str, str]:
        """The fault as problem documents show it."""
        return {"pointer": self.where, "code": self.code, "message": self.message, "mend": self.mend}


class RulesServiceError(Exception):
    """Root of the tree."""


class InputError(RulesServiceError):
    """Input that cannot be used, with all faults found."""

    def __init__(self, title: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(title + "".join(f"\n  {issue}" for issue in issues))
        self.title = title
        self.issues = tuple(issues)


class MalformedBody(InputError):
    """Nothing could be read."""


class InvalidClaim(InputError):
    """Read, but not a claim."""


class X12Error(InputError):
    """An X12 envelope or segment that cannot be read."""


class PackFault(InputError):
    """A rule pack that may not be loaded."""


class RuleRefused(InputError):
    """A rule the engine must not be handed."""


class ReferenceFault(InputError):
    """A reference-table file that may not be loaded."""


class NotFound(RulesServiceError):
    """No such object."""


class StateConflict(RulesServiceError):
    """The object's state refuses this."""


class IdempotencyMismatch(StateConflict):
    """The idempotency key was used with another body."""


class Refused(RulesServiceError):
    """An act that is not allowed now. `code` is the slug of its problem type; the issues say what is missing."""

    def __init__(self, code: str, detail: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.issues = tuple(issues)


class EngineFault(RulesServiceError):
    """The engine did not judge everything it was given."""


class StorageUnavailable(RulesServiceError):
    """The database cannot take the write now."""
