"""The fact catalogue: paths of the claim, derived facts, and what is not known."""

import msgspec

from rules_service.claim.claim import Claim
from rules_service.facts.catalogue import CATALOGUE, claim_fact, line_fact
from rules_service.facts.view import ClaimView
from rules_service.primitives.unknown import Unknown
from tests.support.builders import claim


def view(**changes: object) -> ClaimView:
    return ClaimView(claim(**changes), "EXAMPLE01")


def test_every_scalar_of_the_claim_is_a_fact() -> None:
    for field in msgspec.structs.fields(Claim):
        if field.name != "service_lines":
            assert any(name == f"claim.{field.name}" or name.startswith(f"claim.{field.name}.") for name in CATALOGUE), field.name


def test_values_come_in_their_types() -> None:
    seen = view(lines=[{"charge_amount": "12.34", "unit_count": "2.5", "modifiers": ["LT", "59"]}])
    line = seen.lines[0]
    assert line_fact(line, "line.charge_amount") == 1234
    assert line_fact(line, "line.unit_count") == 2500
    assert line_fact(line, "line.modifiers") == ("LT", "59")
    assert line_fact(line, "claim.payer.payer_id") == "EXAMPLE01"
    assert claim_fact(seen, "claim.diagnoses.count") == 1
    assert claim_fact(seen, "claim.diagnoses.code") == ("J06.9",)
    assert claim_fact(seen, "claim.accident.date") is None
    assert claim_fact(seen, "claim.charge_difference") == 0


def test_what_context_does_not_say_is_unknown_and_none_is_known() -> None:
    silent, empty = view(context=None), view(context={"history": []})
    for name in ("claim.context.history.count", "claim.context.eligibility.grace_month", "claim.context.authorizations.number"):
        assert isinstance(claim_fact(silent, name), Unknown)
    assert claim_fact(empty, "claim.context.history.count") == 0
    assert isinstance(claim_fact(empty, "claim.context.authorizations.count"), Unknown)


def test_names_dates_of_birth_and_identifiers_are_marked() -> None:
    for name in (
        "claim.subscriber.last_name",
        "claim.patient.birth_date",
        "claim.subscriber.member_id",
        "claim.notes.text",
        "line.patient_age_days",
    ):
        assert CATALOGUE[name].spec.phi, name
