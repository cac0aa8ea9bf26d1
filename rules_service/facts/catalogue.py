"""The fact catalogue: every scalar of the canonical claim by its path, and the derived facts rules need.

Paths are generated from the claim structures, so a field added to the claim is a fact at once. `claim.*` facts belong to the
claim; `line.*` facts to one service line. Under `claim.context`, a part that was not supplied is unknown, not absent. Of a repeated element
there is `count`, each of its texts as the set of values, and of each number, amount or date `lowest` and `highest`, of amounts and
quantities `total` besides; elements within elements are taken together.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.service_lines import ServiceLine
from rules_service.facts.derived import DERIVED
from rules_service.facts.stays import STAYS
from rules_service.facts.values import FactSpec, FactType, FactValue, Getter
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.money import Money, Quantity
from rules_service.primitives.unknown import Unknown

_PHI_PARTS = {
    "first_name",
    "middle_name",
    "last_name",
    "suffix",
    "birth_date",
    "death_date",
    "member_id",
    "line1",
    "line2",
    "city",
    "zip",
    "text",
    "description",
    "patient_control_number",
    "encounter_id",
    "last_or_organization_name",
    "last_menstrual_period",
    "line_control_number",
    "days_birth_after_service",
    "patient_age_days",
    "days_death_before_service",
    "days_birth_after_receipt",
    "prescription_number",
    "payer_claim_control_number",
    "prior_authorization_number",
    "prior_authorization_numbers",
    "referral_number",
    "property_casualty_claim_number",
    "predetermination_id",
    "control_number",
    "claim_id",
    "number",
    "link_number",
    "group_number",
    "tax_id",
}


@dataclass(frozen=True, slots=True)
class CatalogueFact:
    """A fact and how it is read off a ClaimView (claim level) or LineView (line level)."""

    spec: FactSpec
    get: Getter


def _strip_optional(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0]
    return annotation


def _scalar_type(annotation: Any) -> FactType | None:
    if typing.get_origin(annotation) is typing.Literal or annotation is str:
        return "text"
    if annotation is bool:
        return "flag"
    return {int: "count", date: "day", datetime: "day", Money: "money", Quantity: "quantity"}.get(annotation)  # type: ignore[return-value]


def _plain(value: Any) -> FactValue:
    if value.__class__ is str:
        return typing.cast(FactValue, value or None)
    if isinstance(value, Money):
        return value.cents
    if isinstance(value, Quantity):
        return value.thousandths
    if isinstance(value, datetime):
        return value.date().toordinal()
    if isinstance(value, date):
        return value.toordinal()
    return typing.cast(FactValue, value)


_CONTEXT_UNKNOWN = {
    "history": Unknown("history_not_supplied", "context.history"),
}


def _walk(struct: type, prefix: str, root: str, steps: tuple[str, ...], found: dict[str, CatalogueFact], level: Any) -> None:
    for field in msgspec.structs.fields(struct):
        annotation = _strip_optional(field.type)
        name = f"{prefix}.{field.encode_name}"
        path = (*steps, field.name)
        phi = field.encode_name in _PHI_PARTS
        kind = _scalar_type(annotation)
        if kind is not None:
            found[name] = CatalogueFact(
                FactSpec(name, kind, level, f"`{root}` field {name.partition('.')[2]}.", phi), _path_getter(root, path)
            )
        elif typing.get_origin(annotation) is tuple:
            element = typing.get_args(annotation)[0]
            count = f"{name}.count"
            if element is not str and name != "claim.service_lines":
                found[count] = CatalogueFact(
                    FactSpec(count, "count", level, f"How many {name.partition('.')[2]} there are."), _count_getter(root, path)
                )
            if name != "claim.service_lines":
                _walk_elements(element, name, (), phi, found, level, partial(_elements_getter, root, path))
        elif isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            _walk(annotation, name, root, path, found, level)


def _walk_elements(
    element: Any,
    name: str,
    inner: tuple[str, ...],
    phi: bool,
    found: dict[str, CatalogueFact],
    level: Any,
    values_at: Callable[[tuple[str, ...]], Callable[[Any], tuple[Any, ...] | Unknown]],
) -> None:
    """Facts of what stands in a repeated element, over all of them."""
    element = _strip_optional(element)
    if typing.get_origin(element) is tuple:
        element = typing.get_args(element)[0]
    what = name.partition(".")[2]
    kind = _scalar_type(element)
    if kind == "text":
        found[name] = CatalogueFact(FactSpec(name, "codes", level, f"All values of {what}.", phi), _texts(values_at(inner)))
    elif kind == "flag":
        found[name] = CatalogueFact(FactSpec(name, "flag", level, f"Whether any {what} says so.", phi), _folded(values_at(inner), any))
    elif kind is not None:
        folds: dict[str, Callable[[Any], Any]] = {"lowest": min, "highest": max}
        if kind in ("money", "quantity"):
            folds["total"] = sum
        for fold, of in folds.items():
            found[f"{name}.{fold}"] = CatalogueFact(
                FactSpec(f"{name}.{fold}", kind, level, f"The {fold} of all {what}; absent when there is none.", phi),
                _folded(values_at(inner), of),
            )
    elif isinstance(element, type) and issubclass(element, msgspec.Struct):
        for field in msgspec.structs.fields(element):
            is_phi = phi or field.encode_name in _PHI_PARTS
            _walk_elements(field.type, f"{name}.{field.encode_name}", (*inner, field.name), is_phi, found, level, values_at)


def _texts(values: Callable[[Any], tuple[Any, ...] | Unknown]) -> Getter:
    def get(view: Any) -> FactValue:
        found = values(view)
        return found if isinstance(found, Unknown) or all(found) else tuple([text for text in found if text])

    return get


def _folded(values: Callable[[Any], tuple[Any, ...] | Unknown], fold: Callable[[Any], Any]) -> Getter:
    def get(view: Any) -> FactValue:
        found = values(view)
        return found if isinstance(found, Unknown) else fold(map(_plain, found)) if found else None

    return get


def _follow(view: Any, root: str, path: tuple[str, ...]) -> Any:
    """The value at a path: None when absent, Unknown when a part of `context` on the way was not supplied."""
    value = getattr(view, root)
    in_context = False
    for step in path:
        if value is None:
            break
        in_context = in_context or step == "context"
        value = getattr(value, step)
    return _missing(path) if value is None and in_context and path != ("context",) else value


def _reader(root: str, path: tuple[str, ...]) -> Callable[[Any], Any]:
    """Reads what `_follow` does. The paths of most facts have one or two steps outside the context, and are read some hundred times a claim."""
    if "context" in path or len(path) > 2:
        return partial(_follow, root=root, path=path)
    if len(path) == 1:
        return attrgetter(f"{root}.{path[0]}")
    first, second = attrgetter(f"{root}.{path[0]}"), attrgetter(path[1])

    def read(view: Any) -> Any:
        value = first(view)
        return None if value is None else second(value)

    return read


def _path_getter(root: str, path: tuple[str, ...]) -> Getter:
    read = _reader(root, path)

    def get(view: Any) -> FactValue:
        value = read(view)
        return value if value is None or value.__class__ is Unknown else _plain(value)

    return get


def _elements_getter(root: str, path: tuple[str, ...], inner: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...] | Unknown]:
    """Every value at a path inside the elements of a list, in the claim's order."""
    read = _reader(root, path)

    def get(view: Any) -> tuple[Any, ...] | Unknown:
        value = read(view)
        if value.__class__ is Unknown:
            return value
        return tuple(_inside(value, inner)) if value else ()

    return get


def _inside(value: Any, inner: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _inside(item, inner)
    elif value is not None and inner:
        yield from _inside(getattr(value, inner[0]), inner[1:])
    elif value is not None:
        yield value


def _count_getter(root: str, path: tuple[str, ...]) -> Getter:
    read = _reader(root, path)

    def get(view: Any) -> FactValue:
        value = read(view)
        return value if isinstance(value, Unknown) else len(value or ())

    return get


def _missing(path: tuple[str, ...]) -> Unknown:
    part = path[1] if len(path) > 1 else "context"
    return _CONTEXT_UNKNOWN.get(part, Unknown("context_not_supplied", f"context.{part}"))


def _build() -> dict[str, CatalogueFact]:
    found: dict[str, CatalogueFact] = {}
    _walk(Claim, "claim", "claim", (), found, "claim")
    _walk(ServiceLine, "line", "line", (), found, "line")
    for name, kind, description, get in (*DERIVED, *STAYS):
        found[name] = CatalogueFact(
            FactSpec(name, kind, "claim" if name.startswith("claim.") else "line", description, name.rpartition(".")[2] in _PHI_PARTS), get
        )
    return found


CATALOGUE: dict[str, CatalogueFact] = _build()
"""Every fact a condition may name, by name."""


_getters = {name: fact.get for name, fact in CATALOGUE.items()}


class ClaimFacts(dict[str, FactValue]):
    """Facts of a claim by name, each computed when it is first asked for. KeyError for a name that is none of a claim's."""

    __slots__ = ("_view",)

    def __init__(self, view: ClaimView) -> None:
        self._view = view

    def __missing__(self, name: str) -> FactValue:
        value = self[name] = _getters[name](self._view)
        return value


class LineFacts(dict[str, FactValue]):
    """Facts of a line by name, and those of its claim."""

    __slots__ = ("_claim", "_line")

    def __init__(self, line: LineView) -> None:
        self._line = line
        self._claim = claim_facts(line.view)

    def __missing__(self, name: str) -> FactValue:
        value = self[name] = self._claim[name] if name.startswith("claim.") else _getters[name](self._line)
        return value


def claim_facts(view: ClaimView) -> ClaimFacts:
    """The facts of a claim, kept with its view."""
    if view.facts is None:
        view.facts = ClaimFacts(view)
    return typing.cast(ClaimFacts, view.facts)


def line_facts(line: LineView) -> LineFacts:
    """The facts of a line, kept with its view."""
    if line.facts is None:
        line.facts = LineFacts(line)
    return typing.cast(LineFacts, line.facts)
