"""`authorization_requirement`: prior authorization, the whole chain of domain.md 2.10.

required? exempt? number present? well formed? on file? approved? member and provider? code? dates? units left? level of care?
The first failing link leads. CARC 197 absent, 284 does not cover the service, 296 nor the provider, 198 exceeded, 302 time limit
expired (CARC 15 was deactivated on 2018-05-01). A referral number (REF*9F) is not an authorization number (REF*G1).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.money import Quantity
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.authorization_branches import authorization_branches
from rules_service.rules.kinds.authorization_list import list_row
from rules_service.rules.kinds.authorization_records import APPROVED, authorization_number, record_facts
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs


class NumberFormat(Parameters, frozen=True):
    """What the payer's authorization numbers look like."""

    min_length: int | None = None
    max_length: int | None = None
    characters: Literal["digits", "letters_and_digits"] | None = None
    prefixes: tuple[str, ...] = ()


class AuthorizationParameters(Parameters, frozen=True):
    """`table` lists codes with conditions and dates; a row `not_required` wins over `required` when both match.
    `exempt_revenue_codes` are first digits: one line with such a code exempts the claim."""

    table: str
    exempt_places_of_service: tuple[str, ...] = ()
    exempt_admission_types: tuple[str, ...] = ()
    exempt_modifiers: tuple[str, ...] = ()
    exempt_condition_codes: tuple[str, ...] = ()
    exempt_revenue_codes: tuple[str, ...] = ()
    honours_gold_cards: bool = True
    number_format: NumberFormat | None = None


class AuthorizationRequirementKind(RuleKind[AuthorizationParameters]):
    """One candidate a line whose code the list names."""

    name = "authorization_requirement"
    title = "Prior authorization required"
    levels = ("line",)
    judges_void = False
    semantics = 3  # every link of a voluntary number; the record that holds best; voluntary numbers that do not hold
    parameters = AuthorizationParameters
    specs = fact_specs(
        ("authorization.requirement", "text", "required, not_required, notification, voluntary or suspended."),
        (
            "authorization.exemption",
            "text",
            "Why no authorization is needed here: emergency, modifier, condition_code, emergency_department or gold_card; absent when none.",
        ),
        ("authorization.number_present", "flag", "REF*G1 on the line, else on the claim."),
        ("authorization.referral_given", "flag", "A referral number (REF*9F) is given and no authorization number."),
        ("authorization.format_valid", "flag", "The number has the payer's form."),
        ("authorization.verifiable", "flag", "Authorizations were supplied to check the number against."),
        ("authorization.on_file", "flag", "The number is among the supplied authorizations; unknown when none were supplied."),
        ("authorization.status", "text", "approved, pended, denied, cancelled ... as recorded."),
        ("authorization.member_matches", "flag", "Recorded for this member and payer, or not stated."),
        ("authorization.provider_matches", "flag", "Recorded for the billing or rendering provider, or not stated."),
        ("authorization.code_matches", "flag", "Covers the code or its family, or does not state codes."),
        ("authorization.days_in_span", "flag", "Every day of the line lies in the authorized span."),
        (
            "authorization.units_over",
            "quantity",
            "Units beyond those approved, counting earlier use and the lines before this one; absent when units are not stated.",
        ),
        ("authorization.level_matches", "flag", "Inpatient or outpatient as authorized, or not stated."),
        (
            "authorization.holds",
            "flag",
            "The number has the payer's form and is of an approved authorization that covers member, provider, code, days, units and level.",
        ),
    )

    def table_names(self, parameters: AuthorizationParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def code_tables(self, parameters: AuthorizationParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def branches(self, parameters: AuthorizationParameters) -> tuple[Branch, ...]:
        return authorization_branches()

    def derive(self, parameters: AuthorizationParameters, judged: Judged) -> Iterator[Candidate]:
        used: dict[int, int] = {}
        mine = {line.index for line in judged.lines}
        for line in judged.view.lines:
            if not line.code or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.table, line.date_from)
            if isinstance(table, Unknown):
                if line.index in mine:
                    yield _undetermined(line, table)
                continue
            row = list_row(table, line)
            if row is None:
                continue
            candidate = (
                _undetermined(line, row) if isinstance(row, Unknown) else self._judge(parameters, judged.view, line, table, row, used)
            )
            if line.index in mine:
                yield candidate

    def _judge(
        self,
        parameters: AuthorizationParameters,
        view: ClaimView,
        line: LineView,
        table: CodeTable,
        row: Entry,
        used: dict[int, int],
    ) -> Candidate:
        requirement = str(row.values[table.column("requirement")])
        number = authorization_number(view, line, table)
        facts = _facts(requirement)
        facts["authorization.exemption"] = exemption = _exemption(parameters, view, line)
        facts["authorization.number_present"] = bool(number)
        facts["authorization.referral_given"] = not number and bool(line.line.referral_number or view.claim.referral_number)
        over = "0"
        if number:
            facts["authorization.format_valid"] = _format_valid(parameters.number_format, number)
            counts = requirement in ("required", "voluntary") and exemption is None
            facts |= record_facts(view, line, table, number, used, counts)
            facts["authorization.holds"] = _holds(facts)
            excess = facts["authorization.units_over"]
            if isinstance(excess, int):
                over = str(Quantity(excess))
        on_line = bool(line.line.prior_authorization_number) or not view.claim.prior_authorization_numbers
        return Candidate(
            lines=(line,),
            facts=facts,
            place=Place("line.prior_authorization_number", line.index, line.number)
            if on_line
            else Place("claim.prior_authorization_numbers"),
            tell=lambda: Telling(
                params={"line_number": str(line.number), "code": line.code or "", "over": over, "exemption": str(exemption or "")},
                shown={"requirement": requirement, "listed_from": date.fromordinal(row.first_day).isoformat()},
                expected={"authorization": "approved, covering code, provider, dates and units"},
                actual={"authorization_number_present": bool(number)},
            ),
        )


def _undetermined(line: LineView, why: Unknown) -> Candidate:
    """A line of which it is not known whether the list asks for authorization."""
    facts: dict[str, FactValue] = {
        **_facts(None),
        "authorization.requirement": why,
        "authorization.number_present": bool(line.authorization_number),
    }
    return Candidate(lines=(line,), facts=facts, place=Place("line.prior_authorization_number", line.index, line.number))


def _facts(requirement: str | None) -> dict[str, FactValue]:
    return {
        "authorization.requirement": requirement,
        "authorization.exemption": None,
        "authorization.number_present": False,
        "authorization.referral_given": False,
        "authorization.format_valid": True,
        "authorization.verifiable": True,
        "authorization.on_file": None,
        "authorization.status": None,
        "authorization.member_matches": None,
        "authorization.provider_matches": None,
        "authorization.code_matches": None,
        "authorization.days_in_span": None,
        "authorization.units_over": None,
        "authorization.level_matches": None,
        "authorization.holds": None,
    }


_LINKS = ("format_valid", "on_file", "member_matches", "provider_matches", "code_matches", "days_in_span", "level_matches")


def _holds(facts: dict[str, FactValue]) -> FactValue:
    """False when a link of the chain fails, else why one is not known."""
    values = [facts[f"authorization.{link}"] for link in _LINKS]
    status, over = facts["authorization.status"], facts["authorization.units_over"]
    if False in values or (isinstance(status, str) and status not in APPROVED) or (isinstance(over, int) and over > 0):
        return False
    return next((one for one in (*values, status, over) if isinstance(one, Unknown)), True)


def _exemption(parameters: AuthorizationParameters, view: ClaimView, line: LineView) -> str | None:
    claim = view.claim
    if line.place_of_service in parameters.exempt_places_of_service:
        return "emergency_place_of_service"
    if claim.institutional is not None and claim.institutional.admission_type in parameters.exempt_admission_types:
        return "emergency_admission"
    if parameters.exempt_revenue_codes and any(
        one.line.revenue_code is not None and one.line.revenue_code.startswith(parameters.exempt_revenue_codes) for one in view.lines
    ):
        return "emergency_department"
    if set(line.modifiers) & set(parameters.exempt_modifiers):
        return "modifier"
    if set(claim.condition_codes) & set(parameters.exempt_condition_codes):
        return "condition_code"
    cards = claim.context.gold_cards if claim.context is not None else None
    if parameters.honours_gold_cards and line.date_from is not None:
        for card in cards or ():
            starts, ends = card.from_ or date.min, card.through or date.max
            if not view.is_of_payer(card.payer_id):
                continue
            if (
                card.npi in (line.rendering.npi, claim.providers.billing.npi)
                and (not card.codes or line.code in card.codes)
                and starts <= line.date_from <= ends
            ):
                return "gold_card"
    return None


def _format_valid(form: NumberFormat | None, number: str) -> bool:
    if form is None:
        return True
    if form.min_length is not None and len(number) < form.min_length:
        return False
    if form.max_length is not None and len(number) > form.max_length:
        return False
    if form.characters == "digits" and not (number.isascii() and number.isdigit()):
        return False
    if form.characters == "letters_and_digits" and not (number.isascii() and number.isalnum()):
        return False
    return not form.prefixes or number.startswith(form.prefixes)
