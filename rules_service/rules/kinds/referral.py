"""`referral`: a referral or a referring provider where the plan asks for one (domain.md 2.10; REF*9F, NM1*DN, NM1*DK).

`products` are the plans that need a referral to a specialist (an empty list: all); primary care specialties, places and codes may be exempt.
`referring_codes` is a table of the codes that need a referring or ordering provider on the claim, whatever the plan, and `referring_ranges`
are first and last codes of further ones (laboratory, imaging); lines with one of `referring_modifiers` (therapy under a plan of care) need one
whatever the code, lines with one of `referring_exempt_modifiers` (the interpretation) none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

CODE_LENGTH = 5
"""Of CPT and HCPCS codes."""


class ReferralParameters(Parameters, frozen=True):
    """What asks for a referral, and who is exempt."""

    products: tuple[str, ...] = ()
    needs_number: bool = True
    primary_care_taxonomies: tuple[str, ...] = ()
    exempt_places_of_service: tuple[str, ...] = ("20", "23", "41", "42")
    exempt_codes: str | None = None
    referring_codes: str | None = None
    referring_ranges: tuple[tuple[str, str], ...] = ()
    referring_modifiers: tuple[str, ...] = ()
    referring_exempt_modifiers: tuple[str, ...] = ("26",)


class ReferralKind(RuleKind[ReferralParameters]):
    """One candidate a line that needs a referral, one a line that needs a referring provider."""

    name = "referral"
    title = "Referrals and referring providers"
    levels = ("line",)
    semantics = 3  # who referred, beside the number; ranges of codes that are ordered; interpretations need no order
    judges_void = False
    parameters = ReferralParameters
    specs = fact_specs(
        ("referral.question", "text", "referral: the plan asks for one; provider: the code needs a referring or ordering provider."),
        ("referral.number_present", "flag", "REF*9F is given on the line or the claim."),
        ("referral.provider_present", "flag", "A referring or ordering provider with an NPI is given on the line or the claim."),
        ("referral.provider_is_organization", "flag", "The referring or ordering provider is an organisation."),
    )

    def check_parameters(self, parameters: ReferralParameters) -> Iterator[Issue]:
        for number, (first, last) in enumerate(parameters.referring_ranges):
            if not len(first) == len(last) == CODE_LENGTH or first > last:
                what = "A range is two procedure codes, the first not after the last."
                yield Issue("parameters", f"/referring_ranges/{number}", what, "Name the first and the last code.")

    def table_names(self, parameters: ReferralParameters) -> tuple[str, ...]:
        return tuple(name for name in (parameters.exempt_codes, parameters.referring_codes) if name)

    def code_tables(self, parameters: ReferralParameters) -> tuple[str, ...]:
        return (
            (parameters.referring_codes,)
            if parameters.referring_codes is not None
            and not (parameters.needs_number or parameters.referring_modifiers or parameters.referring_ranges)
            else ()
        )

    def branches(self, parameters: ReferralParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        plan, provider = ({"fact": "referral.question", "is": word} for word in ("referral", "provider"))
        absent = {"fact": "referral.provider_present", "is": "false"}
        common: dict[str, Any] = {
            "category": "authorization",
            "owner_role": "front_office",
            "override_reasons": ("referral_on_file", "payer_confirmed"),
        }
        return (
            Branch(
                code="referral.missing",
                title="Referral the plan asks for is missing",
                at="claim.referral_number",
                severity="deny_soft",
                when={"all": [plan, {"fact": "referral.number_present", "is": "false"}]},
                message=line + "the plan asks for a referral; none was sent (REF*9F).",
                fixes=(fix("Obtain the referral and send its number in REF*9F with the referring provider", "needs_payer_contact"),),
                next_action="contact_payer",
                **common,
            ),
            Branch(
                code="prov.referring",
                title="Referring or ordering provider is missing",
                at="claim.providers.referring.npi",
                severity="reject",
                when={"any": [{"all": [provider, absent]}, {"all": [plan, {"fact": "referral.number_present", "is": "true"}, absent]}]},
                message=line + "the service needs the provider who referred or ordered it.",
                fixes=(fix("Add the referring (DN) or ordering (DK) provider with name and NPI"),),
                next_action="correct_claim",
                category="administrative",
            ),
            Branch(
                code="prov.referring_organization",
                title="Referring provider is an organisation",
                at="claim.providers.referring.npi",
                severity="deny_soft",
                when={"all": [provider, {"fact": "referral.provider_is_organization", "is": "true"}]},
                message=line + "a person refers or orders, not an organisation.",
                fixes=(fix("Name the individual who referred or ordered"),),
                next_action="correct_claim",
                category="administrative",
            ),
        )

    def derive(self, parameters: ReferralParameters, judged: Judged) -> Iterator[Candidate]:
        marking, exempting = frozenset(parameters.referring_modifiers), frozenset(parameters.referring_exempt_modifiers)
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            ordered = not marking.isdisjoint(line.modifiers) or self._is_ordered(parameters, judged, line.code, line.date_from)
            if not exempting.isdisjoint(line.modifiers):
                ordered = False
            asks = self._asks(parameters, judged, line) if parameters.needs_number else False
            if asks:
                # Who ordered is asked for once.
                yield _candidate(line, "referral", asks if isinstance(asks, Unknown) else None, asks_who=not ordered)
            if ordered:
                yield _candidate(line, "provider", ordered if isinstance(ordered, Unknown) else None)

    def _is_ordered(self, parameters: ReferralParameters, judged: Judged, code: str, day: date) -> bool | Unknown:
        """Whether the code is of those that somebody orders or refers to."""
        if len(code) == CODE_LENGTH and any(first <= code <= last for first, last in parameters.referring_ranges):
            return True
        if parameters.referring_codes is None:
            return False
        table = judged.lookups.codes(parameters.referring_codes, day)
        return table if isinstance(table, Unknown) else table.on(code, day.toordinal()) is not None

    def _asks(self, parameters: ReferralParameters, judged: Judged, line: LineView) -> bool | Unknown:
        """Whether the plan wants a referral for the line; unknown when the product or the specialty is not given."""
        if parameters.products and line.claim.payer.product and line.claim.payer.product not in parameters.products:
            return False
        if line.place_of_service in parameters.exempt_places_of_service or line.line.emergency == "Y":
            return False
        if line.rendering.taxonomy_code in parameters.primary_care_taxonomies:
            return False
        unknown = None
        if parameters.products and not line.claim.payer.product:
            unknown = Unknown("context_not_supplied", "payer.product")
        elif parameters.primary_care_taxonomies and not line.rendering.taxonomy_code:
            unknown = Unknown("context_not_supplied", "providers.rendering.taxonomy_code")
        if parameters.exempt_codes is None or line.code is None or line.date_from is None:
            return unknown or True
        table = judged.lookups.codes(parameters.exempt_codes, line.date_from)
        if isinstance(table, Unknown):
            return table
        return False if table.on(line.code, line.date_from.toordinal()) is not None else unknown or True


def _candidate(line: LineView, question: str, unknown: Unknown | None = None, asks_who: bool = True) -> Candidate:
    header = line.claim.providers
    given = (line.own_provider("referring"), line.own_provider("ordering"), header.referring, header.ordering)
    named = [one for one in given if one is not None]
    present: FactValue = any(one.npi for one in named)
    return Candidate(
        lines=(line,),
        key=question,
        qualifier="ordered" if question == "provider" else "",
        place=Place("claim.referral_number") if question == "referral" else Place("claim.providers.referring.npi"),
        facts={
            "referral.question": question,
            "referral.number_present": bool(line.line.referral_number or line.claim.referral_number) or unknown or False,
            "referral.provider_present": not asks_who or (present if unknown is None else unknown),
            "referral.provider_is_organization": any(one.entity_type == "2" for one in named) if unknown is None else unknown,
        },
        tell=partial(Telling, params={"line_number": str(line.number), "code": line.code or ""}),
    )
