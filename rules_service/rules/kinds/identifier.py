"""`identifier`: NPI check digit (45 CFR 162.406), Medicare Beneficiary Identifier and payers' member-id forms.

The value of an identifier stands in no message, fact or patch: a repair names the transformation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from rules_service.claim.locations import Place
from rules_service.claim.parties import ClaimProviders, LineProviders, Provider
from rules_service.facts.view import ClaimView, LineView
from rules_service.findings.finding import Fix, PatchOperation
from rules_service.primitives.codes import mbi_is_valid, npi_is_valid, without_punctuation
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix


class MemberIdForm(Parameters, frozen=True):
    """A payer's member id: length, characters, prefixes."""

    min_length: int | None = None
    max_length: int | None = None
    characters: Literal["digits", "letters_and_digits"] | None = None
    prefixes: tuple[str, ...] = ()


class IdentifierParameters(Parameters, frozen=True):
    """`subject: member_id` takes `form: mbi` for Medicare, or `member_id_form` for a payer's own."""

    subject: Literal["npi", "member_id"]
    form: Literal["mbi"] | None = None
    member_id_form: MemberIdForm | None = None


class IdentifierKind(RuleKind[IdentifierParameters]):
    """One candidate an NPI on the claim, or the member id."""

    name = "identifier"
    title = "Identifiers in their published form"
    levels = ("claim",)
    parameters = IdentifierParameters
    specs = fact_specs(
        ("identifier.present", "flag", "The identifier is on the claim."),
        ("identifier.valid", "flag", "It has the published form and check digit."),
        ("identifier.valid_without_punctuation", "flag", "It would have, without spaces, dashes and dots."),
    )

    def branches(self, parameters: IdentifierParameters) -> tuple[Branch, ...]:
        code, title = (
            ("fmt.npi_checksum", "NPI fails its check digit")
            if parameters.subject == "npi"
            else ("fmt.member_id", "Member id not in the payer's form")
        )
        category: Literal["administrative", "eligibility"] = "administrative" if parameters.subject == "npi" else "eligibility"
        invalid = {"fact": "identifier.valid", "is": "false"}  # no NPI gives no candidate; no member id is not a valid one
        return (
            Branch(
                code=code,
                title=title,
                severity="reject",
                category=category,
                owner_role="front_office",
                next_action="correct_claim",
                when=invalid,
                message="The {role} NPI is not ten digits with a valid check digit."
                if parameters.subject == "npi"
                else "The member id does not have the form this payer issues.",
            ),
        )

    def derive(self, parameters: IdentifierParameters, judged: Judged) -> Iterator[Candidate]:
        if parameters.subject == "member_id":
            if judged.view.claim.subscriber.member_id is not None:  # one that is missing is told as missing
                yield self._member_id(parameters, judged.view, judged.view.claim.subscriber.member_id)
            return
        providers = judged.view.claim.providers
        yield Candidate(
            lines=judged.view.lines,
            facts={"identifier.present": True, "identifier.valid": True, "identifier.valid_without_punctuation": True},
        )  # every valid NPI, together
        for role, provider in _invalid(providers):
            yield self._npi(provider, role, judged.view.lines, Place(f"claim.providers.{role}.npi"), f"/providers/{role}/npi")
        for line in judged.view.lines:
            for role, provider in _invalid(line.line.providers):
                place = Place(f"line.providers.{role}.npi", line.index, line.number)
                yield self._npi(provider, role, [line], place, f"/service_lines/{line.index}/providers/{role}/npi")

    def _npi(self, provider: Provider, role: str, lines: list[LineView], place: Place, pointer: str) -> Candidate:
        npi = provider.npi or ""
        bare = without_punctuation(npi)
        repairable = npi_is_valid(bare)
        fixes = (_repair(pointer),) if repairable else (fix("Look the provider up in NPPES and enter the NPI"),)
        return Candidate(
            lines=lines,
            place=place,
            qualifier=role,
            facts={"identifier.present": True, "identifier.valid": False, "identifier.valid_without_punctuation": repairable},
            tell=lambda: Telling(
                params={"role": role.replace("_", " ")},
                shown={"role": role},
                expected={"form": "10 digits, check digit over 80840 + NPI"},
                actual={"length": len(npi)},
                fixes=fixes,
            ),
        )

    def _member_id(self, parameters: IdentifierParameters, view: ClaimView, member_id: str) -> Candidate:
        bare = without_punctuation(member_id)
        valid = _member_id_valid(parameters, member_id)
        repairable = not valid and _member_id_valid(parameters, bare)
        fixes = (
            (_repair("/subscriber/member_id"),) if repairable else (fix("Check the member id on the card or run an eligibility inquiry"),)
        )
        return Candidate(
            lines=view.lines,
            place=Place("claim.subscriber.member_id"),
            facts={
                "identifier.present": True,
                "identifier.valid": valid,
                "identifier.valid_without_punctuation": valid if bare == member_id else _member_id_valid(parameters, bare),
            },
            tell=lambda: Telling(
                expected={
                    "form": "MBI: 11 characters, no dashes, without S L O I B Z"
                    if parameters.form == "mbi"
                    else "the payer's member id form"
                },
                actual={"length": len(member_id)},
                fixes=fixes,
            ),
        )


def _invalid(providers: ClaimProviders | LineProviders | None) -> list[tuple[str, Provider]]:
    """(role, provider) of those whose NPI is given and wrong."""
    named = [] if providers is None else [one for one in msgspec.structs.astuple(providers) if one is not None and one.npi is not None]
    if all(npi_is_valid(one.npi) for one in named):
        return []
    roles = [field.name for field in msgspec.structs.fields(providers)]  # type: ignore[arg-type]
    every = zip(roles, msgspec.structs.astuple(providers), strict=True)  # type: ignore[arg-type]
    return [(role, one) for role, one in every if one is not None and one.npi is not None and not npi_is_valid(one.npi)]


def _repair(pointer: str) -> Fix:
    return Fix(
        label="Remove spaces, dashes and dots",
        class_="auto_safe",
        patch=(PatchOperation(op="replace", path=pointer, transformation="remove_punctuation"),),
    )


def _member_id_valid(parameters: IdentifierParameters, member_id: str) -> bool:
    if parameters.form == "mbi":
        return mbi_is_valid(member_id)
    form = parameters.member_id_form
    if form is None:
        return bool(member_id)
    if form.min_length is not None and len(member_id) < form.min_length:
        return False
    if form.max_length is not None and len(member_id) > form.max_length:
        return False
    if form.characters == "digits" and not (member_id.isascii() and member_id.isdigit()):
        return False
    if form.characters == "letters_and_digits" and not (member_id.isascii() and member_id.isalnum()):
        return False
    return not form.prefixes or member_id.startswith(form.prefixes)
