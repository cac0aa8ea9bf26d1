"""What a serving process holds besides its use cases: metrics, credentials it has checked, a pool for large files."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Histogram

from rules_service.api.bodies import header
from rules_service.api.problems import ProblemError
from rules_service.services.acting import Actor, now_utc
from rules_service.services.parts import Parts, build_parts
from rules_service.services.settings import Settings
from rules_service.storage.clients import Principal, find_principal, hash_key

CREDENTIAL_SECONDS = 5.0
"""How long a checked credential is believed: revoking a client takes effect within this time."""
MAX_CREDENTIALS = 10_000


class Metrics:
    """Counters of one process. No label ever comes from a claim."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("rules_requests", "Requests by route and status", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "rules_request_seconds",
            "Time to the answer",
            ("route",),
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        children = self._children.get((route, status))
        if children is None:
            children = self._children[route, status] = self.requests.labels(route, str(status)), self.seconds.labels(route)
        children[0].inc()
        children[1].observe(seconds)


@dataclass
class AppState(Parts):
    """One serving process's parts, with what only serving needs."""

    metrics: Metrics = field(default_factory=Metrics)
    _pool: ProcessPoolExecutor | None = None
    _credentials: dict[str, tuple[float, Principal]] = field(default_factory=dict)

    @classmethod
    def build(cls, settings: Settings) -> AppState:
        """Open everything, and run jobs unless others do."""
        state = cls(**vars(build_parts(settings)))
        if settings.runs_jobs:
            state.start_working()
        return state

    @property
    def pool(self) -> ProcessPoolExecutor:
        """One worker process for parsing reference files, so that a large one does not hold up requests."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
        return self._pool

    def forget_pool(self) -> None:
        """Drop a pool whose process ended; the next upload starts another."""
        self._pool = None

    def close(self) -> None:
        """Store what waits, then close."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        super().close()

    def principal(self, authorization: str | None) -> Principal:
        """The caller of a bearer credential; 401 when there is none or it is not known."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ProblemError(
                "unauthenticated",
                "Send the API key or access token as Authorization: Bearer CREDENTIAL.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        hashed = hash_key(key.strip())
        known = self._credentials.get(hashed)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        moment = now_utc()
        with self.database.reading() as connection:
            found = find_principal(connection, hashed, moment)
        if found is None:
            self._credentials.pop(hashed, None)
            raise ProblemError(
                "unauthenticated",
                "The credential is not known, was revoked or has expired.",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        if len(self._credentials) >= MAX_CREDENTIALS:
            self._credentials.clear()
        principal, expires_at = found
        left = CREDENTIAL_SECONDS if expires_at is None else min(CREDENTIAL_SECONDS, (expires_at - moment).total_seconds())
        self._credentials[hashed] = (now + left, principal)
        return principal


def state_of(request: Request) -> AppState:
    """The process's parts."""
    return request.app.state.parts  # type: ignore[no-any-return]


def allowed(request: Request, scope: str) -> Principal:
    """The caller, when its credential has the scope; 401 or 403 otherwise."""
    principal = state_of(request).principal(header(request, b"authorization"))
    if scope not in principal.scopes:
        raise ProblemError(
            "insufficient-scope",
            f"This needs the scope {scope}.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )
    return principal


def actor_of(request: Request, principal: Principal) -> Actor:
    """The principal with the request it acts in."""
    return Actor(principal.tenant_id, principal.client_id, principal.scopes, request.scope.get("request_id"))


def _note_refusal(request: Request, scope: str) -> None:
    """What somebody tried to change without the scope for it: the operation and the scope, no id of the path."""
    state = state_of(request)
    actor = actor_of(request, state.principal(header(request, b"authorization")))
    operation = getattr(request.scope.get("route"), "operation_id", None) or "unknown"
    event = actor.event("access.refused", "operation", operation, scope=scope)
    state.audit.record(actor.tenant_id, event)


def permitted(request: Request, scope: str) -> Principal:
    """The caller, when its credential has the scope. Who lacks it for something that changes data leaves an audit event; so this
    may write, and is not for the event loop."""
    try:
        return allowed(request, scope)
    except ProblemError as problem:
        if problem.slug == "insufficient-scope" and request.method != "GET":
            _note_refusal(request, scope)
        raise


def needs(scope: str) -> Callable[[Request], Principal]:
    """A dependency of administration routes: the caller with this scope; notes the epoch its answer rests on."""

    def dependency(request: Request) -> Principal:
        principal = permitted(request, scope)
        request.scope["catalog_epoch"] = state_of(request).snapshots.refresh(principal.tenant_id).epoch
        return principal

    return dependency
