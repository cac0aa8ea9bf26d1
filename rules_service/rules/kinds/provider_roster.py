"""`provider_roster`: whether a provider was enrolled with the payer on the date of service, and in its network (domain.md 2.7).

The roster is a table of the pack, or of the clinic that uses it: NPI, dates, `enrolment` (enrolled, pending, terminated), `network`
(par or nonpar) and the `specialty` (taxonomy) it was enrolled with. An NPI that is not on the roster is not known, unless the roster is
said to be complete. Filing limits read the network from the same table (`roster` of `filing_limit`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.locations import Place
from rules_service.claim.parties import Provider
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

ROSTER_COLUMNS = ("enrolment", "network", "specialty")
ENROLMENTS = ("enrolled", "pending", "terminated")


class ProviderRosterParameters(Parameters, frozen=True):
    """`complete`: whoever is not on the roster is not enrolled. `in_network_only`: the product pays no other providers."""

    roster: str
    complete: bool = False
    in_network_only: bool = False


class ProviderRosterKind(RuleKind[ProviderRosterParameters]):
    """One candidate a role and provider of a line."""

    name = "provider_roster"
    title = "Providers enrolled with the payer"
    levels = ("line",)
    judges_void = False
    parameters = ProviderRosterParameters
    specs = fact_specs(
        ("roster.enrolment", "text", "enrolled, pending, terminated or not_listed on the date; unknown when the roster does not say."),
        ("roster.network", "text", "par or nonpar, as enrolled."),
        ("roster.specialty_matches", "flag", "The taxonomy on the claim is that of the enrolment; absent when either is not given."),
    )

    def table_names(self, parameters: ProviderRosterParameters) -> tuple[str, ...]:
        return (parameters.roster,)

    def branches(self, parameters: ProviderRosterParameters) -> tuple[Branch, ...]:
        who = "Line {line_number}: the {role} provider "
        enrol = fix("Ask the payer for the effective date of the enrolment, and hold or rebill the claim", "needs_payer_contact")
        found = [
            Branch(
                code="prov.credential",
                title="Provider not enrolled on the date of service",
                severity="deny_soft",
                category="payer_specific",
                when={"fact": "roster.enrolment", "in": ["terminated", "not_listed"]},
                message=who + "is not enrolled with this payer on the date of service.",
                fixes=(enrol,),
                owner_role="credentialing",
                next_action="contact_payer",
                override_reasons=("enrolment_confirmed",),
            ),
            Branch(
                code="prov.credential_pending",
                title="Provider's enrolment is pending",
                severity="warn",
                confidence="likely",
                category="payer_specific",
                when={"fact": "roster.enrolment", "is": "pending"},
                message=who + "is waiting for enrolment; the payer may deny what was given before its effective date.",
                fixes=(enrol,),
                owner_role="credentialing",
                override_reasons=("enrolment_confirmed",),
            ),
        ]
        if parameters.in_network_only:
            found.append(
                Branch(
                    code="prov.out_of_network",
                    title="Provider outside the network of the product",
                    severity="deny_soft",
                    category="payer_specific",
                    when={"fact": "roster.network", "is": "nonpar"},
                    message=who + "is outside the network, and the product pays no such providers.",
                    fixes=(fix("Ask for a network exception, or tell the patient", "needs_payer_contact"),),
                    owner_role="credentialing",
                    override_reasons=("network_exception",),
                )
            )
        found.append(
            Branch(
                code="prov.taxonomy_mismatch",
                title="Taxonomy other than the enrolled one",
                severity="warn",
                confidence="likely",
                category="payer_specific",
                when={"fact": "roster.specialty_matches", "is": "false"},
                message=who + "is enrolled under another taxonomy code than the claim gives.",
                fixes=(fix("Send the taxonomy code of the enrolment"),),
                owner_role="credentialing",
                next_action="correct_claim",
                override_reasons=("enrolment_confirmed",),
            )
        )
        return tuple(found)

    def derive(self, parameters: ProviderRosterParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.roster, line.date_from)
            billing = line.claim.providers.billing
            roles: list[tuple[str, Provider]] = [("billing", billing)]
            if line.rendering.npi != billing.npi:
                roles.append(("rendering", line.rendering))
            for role, provider in roles:
                if provider.npi is None:
                    continue
                yield Candidate(
                    lines=(line,),
                    key=role,
                    qualifier=role,
                    place=_place(role, provider, line),
                    facts=_facts(parameters, table, provider, line),
                    tell=partial(Telling, params={"line_number": str(line.number), "role": role}, shown={"role": role}),
                )


def _place(role: str, provider: Provider, line: LineView) -> Place:
    """The provider of the line where it has its own, else that of the claim."""
    own = provider is line.own_provider("rendering")
    return Place(f"line.providers.{role}.npi", line.index, line.number) if own else Place(f"claim.providers.{role}.npi")


def _facts(parameters: ProviderRosterParameters, table: CodeTable | Unknown, provider: Provider, line: LineView) -> dict[str, FactValue]:
    if isinstance(table, Unknown):
        return {"roster.enrolment": table, "roster.network": table, "roster.specialty_matches": table}
    entry = table.on(provider.npi or "", line.date_from.toordinal()) if line.date_from is not None else None
    if entry is None:
        known = bool(table.rows_of(provider.npi or ""))  # listed for other days
        enrolment: FactValue = "not_listed" if parameters.complete or known else Unknown("provider_not_on_roster", "the payer's roster")
        return {"roster.enrolment": enrolment, "roster.network": None, "roster.specialty_matches": None}
    enrolled, network, specialty = (str(entry.values[table.column(name)]) for name in ROSTER_COLUMNS)
    given = provider.taxonomy_code
    return {
        "roster.enrolment": enrolled,
        "roster.network": network or None,
        "roster.specialty_matches": specialty == given if specialty and given else None,
    }
