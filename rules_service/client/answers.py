"""What the service answers, typed. Members a newer service adds are passed over; what is asked for must be there."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from rules_service.claim.codec import decode_value
from rules_service.findings.evaluation import Evaluation

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """Base of the answers only the client knows by a type."""


class Problem(Answer, frozen=True):
    """RFC 9457: what is wrong; `errors` say where and how to mend it."""

    title: str
    status: int
    code: str = ""
    detail: str = ""
    errors: tuple[Mapping[str, str], ...] = ()


class _Coding(Answer, frozen=True):
    code: str = ""


class _Details(Answer, frozen=True):
    text: str = ""
    coding: tuple[_Coding, ...] = ()


class _OutcomeIssue(Answer, frozen=True):
    code: str
    details: _Details = _Details()
    diagnostics: str = ""
    expression: tuple[str, ...] = ()


class _Outcome(Answer, frozen=True):
    issue: tuple[_OutcomeIssue, ...]


def problem_of_outcome(body: bytes, status: int) -> Problem:
    """A refusal in FHIR: each issue with its code, its place (a FHIRPath expression), what is wrong and how to mend it."""
    issues = msgspec.json.decode(body, type=_Outcome).issue
    errors = tuple(
        {
            "code": one.details.coding[0].code if one.details.coding else one.code,
            "pointer": one.expression[0] if one.expression else "",
            "message": one.details.text,
            "mend": one.diagnostics,
        }
        for one in issues
    )
    first = issues[0] if issues else None
    return Problem("The service refused", status, first.code if first else "", first.details.text if first else "", errors)


class ClaimResult(Answer, frozen=True):
    """One claim of many, by its position from 0: its evaluation, or why it has none; of an 837 its segment too, and by finding id the segment and
    byte of the element at fault."""

    index: int
    status: int
    evaluation: Evaluation | None = None
    problem: Problem | None = None
    segment: int | None = None
    places: Mapping[str, Mapping[str, int]] = {}


class JobResult(Answer, frozen=True):
    """A line of a job's results; `segment` and `places` as those of ClaimResult."""

    index: int
    status: int
    evaluation: Evaluation | None = None
    problem: Mapping[str, Any] | None = None
    segment: int | None = None
    places: Mapping[str, Mapping[str, int]] = {}


class Batch(Answer, frozen=True):
    """The results of a batch."""

    results: tuple[ClaimResult, ...]


class X12Answer(Answer, frozen=True):
    """The results of an 837 file."""

    evaluations: tuple[ClaimResult, ...]


class Job(Answer, frozen=True):
    """A long work."""

    job_id: str
    kind: str
    state: str
    done: int
    total: int | None = None
    failure: str | None = None
    result: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("succeeded", "failed", "cancelled")


class EvaluationSummary(Answer, frozen=True):
    """A stored evaluation as lists show it."""

    evaluation_id: str
    lineage_id: str
    evaluated_at: datetime
    payer_id: str
    claim_type: str
    outcome: str
    catalog_epoch: int


class EvaluationPage(Answer, frozen=True):
    """Evaluations newest first."""

    data: tuple[EvaluationSummary, ...]
    next_before: str | None


class ServiceError(Exception):
    """The service refused, with its problem. Its text holds nothing of the claim."""

    def __init__(self, problem: Problem, request_id: str | None) -> None:
        super().__init__(f"{problem.status} {problem.title}" + (f": {problem.detail}" if problem.detail else ""))
        self.problem, self.request_id = problem, request_id

    def __reduce__(self) -> tuple[type[ServiceError], tuple[Problem, str | None]]:
        """So that it passes between processes."""
        return ServiceError, (self.problem, self.request_id)


def read(kind: type[T], body: bytes) -> T:
    """A body as a type."""
    return msgspec.convert(_known(_shape(cast(Hashable, kind)), msgspec.json.decode(body)), kind, dec_hook=decode_value)


@functools.cache
def _shape(kind: Hashable) -> inspect.Type:
    return inspect.type_info(kind)


def _known(shape: inspect.Type, value: Any) -> Any:
    """The value without members its type does not have."""
    if isinstance(shape, inspect.UnionType):
        fitting = next((one for one in shape.types if isinstance(value, dict) == isinstance(one, inspect.StructType)), None)
        return value if fitting is None or value is None else _known(fitting, value)
    if isinstance(shape, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in shape.fields}
        return {name: _known(fields[name], member) for name, member in value.items() if name in fields}
    if isinstance(shape, inspect.VarTupleType) and isinstance(value, list):
        return [_known(shape.item_type, one) for one in value]
    return value
