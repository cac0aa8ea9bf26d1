"""The fact catalogue: paths of the claim, derived facts, and what is not known."""

import types
import typing
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.service_lines import ServiceLine
from rules_service.facts.catalogue import CATALOGUE, claim_facts, line_facts
from rules_service.facts.view import ClaimView
from rules_service.primitives.unknown import Unknown
from tests.support.builders import claim


def view(**changes: object) -> ClaimView:
    return ClaimView(claim(**changes), "EXAMPLE01")


def leaves(annotation: Any, name: str) -> Iterator[str]:
    """Paths of every scalar below a type, lists and optional parts looked through."""
    for part in typing.get_args(annotation) if typing.get_origin(annotation) in (tuple, types.UnionType) else (annotation,):
        if part in (Ellipsis, types.NoneType):
            continue
        if typing.get_origin(part) in (tuple, types.UnionType):
            yield from leaves(part, name)
        elif isinstance(part, type) and issubclass(part, msgspec.Struct):
            for field in msgspec.structs.fields(part):
                yield from leaves(field.type, f"{name}.{field.encode_name}")
        else:
            yield name


def test_every_scalar_of_the_claim_is_a_fact() -> None:
    every = {name for name in leaves(Claim, "claim") if not name.startswith("claim.service_lines.")} | set(leaves(ServiceLine, "line"))
    assert len(every) > 400
    unreached = {name for name in every if name not in CATALOGUE and f"{name}.highest" not in CATALOGUE}
    assert not unreached


def test_numbers_of_repeated_elements_are_told_by_their_ends_and_their_total() -> None:
    seen = view(
        other_payers=[
            {"payer_id": "A", "paid_amount": "10.00", "adjustments": [{"group_code": "PR", "carc": "1", "amount": "2.50"}]},
            {"payer_id": "B", "paid_amount": "4.25", "adjudication_date": "2026-11-02"},
        ],
        lines=[{"diagnosis_pointers": [1, 3]}],
    )
    assert claim_facts(seen)["claim.other_payers.paid_amount.total"] == 1425
    assert claim_facts(seen)["claim.other_payers.paid_amount.lowest"] == 425
    assert claim_facts(seen)["claim.other_payers.adjustments.amount.total"] == 250
    assert claim_facts(seen)["claim.other_payers.adjudication_date.highest"] == date(2026, 11, 2).toordinal()
    assert line_facts(seen.lines[0])["line.diagnosis_pointers.highest"] == 3
    assert claim_facts(seen)["claim.institutional.value_codes.amount.total"] is None
    assert isinstance(claim_facts(view(context=None))["claim.context.history.line.charge_amount.total"], Unknown)


def test_values_come_in_their_types() -> None:
    seen = view(lines=[{"charge_amount": "12.34", "unit_count": "2.5", "modifiers": ["LT", "59"]}])
    line = seen.lines[0]
    assert line_facts(line)["line.charge_amount"] == 1234
    assert line_facts(line)["line.unit_count"] == 2500
    assert line_facts(line)["line.modifiers"] == ("LT", "59")
    assert line_facts(line)["claim.payer.payer_id"] == "EXAMPLE01"
    assert claim_facts(seen)["claim.diagnoses.count"] == 1
    assert claim_facts(seen)["claim.diagnoses.code"] == ("J06.9",)
    assert claim_facts(seen)["claim.accident.date"] is None
    assert claim_facts(seen)["claim.charge_difference"] == 0


def test_what_context_does_not_say_is_unknown_and_none_is_known() -> None:
    silent, empty = view(context=None), view(context={"history": []})
    for name in ("claim.context.history.count", "claim.context.eligibility.grace_month", "claim.context.authorizations.number"):
        assert isinstance(claim_facts(silent)[name], Unknown)
    assert claim_facts(empty)["claim.context.history.count"] == 0
    assert isinstance(claim_facts(empty)["claim.context.authorizations.count"], Unknown)


def test_names_dates_of_birth_and_identifiers_are_marked() -> None:
    for name in (
        "claim.subscriber.last_name",
        "claim.patient.birth_date",
        "claim.subscriber.member_id",
        "claim.notes.text",
        "line.patient_age_days",
    ):
        assert CATALOGUE[name].spec.phi, name
