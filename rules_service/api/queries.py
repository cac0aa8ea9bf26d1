"""Query parameters read strictly: what cannot be read is a 400 that says what belongs there."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import Request

from rules_service.api.problems import ProblemError

MAX_NUMBER = 10**9


def number_in(request: Request, name: str, lowest: int = 0, highest: int = MAX_NUMBER) -> int | None:
    """A whole number within bounds; None when it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        raise ProblemError("bad-request", f"{name} is a whole number from {lowest} to {highest}.")
    return int(text)


def day_in(request: Request, name: str) -> date:
    """A date, which must be given."""
    try:
        return date.fromisoformat(request.query_params.get(name, ""))
    except ValueError:
        raise ProblemError("bad-request", f"{name} is a date such as 2026-11-23.") from None


def instant_in(request: Request, name: str) -> datetime | None:
    """An instant with its offset; None when it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ProblemError("bad-request", f"{name} is an instant with its offset, such as 2026-11-23T10:00:00-05:00.")
    return moment
