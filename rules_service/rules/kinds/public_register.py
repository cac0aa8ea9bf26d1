"""`public_register`: whether public registers know who ordered, the laboratory and the drug of a line (domain.md 2.7).

`ordering`: CMS's list of who may order and refer in Medicare, by program, whose names the contractor compares by the first four letters of
the last name and the first of the first name (42 CFR 424.507; MLN SE1305). `laboratory`: the certificate of a CLIA number, and whether it
takes the test: waived tests under a waiver, provider-performed microscopy under its own, everything else under the other certificates
(42 CFR 493.3, 493.15, 493.19). `drug`: the NDC is marketed on the day, and is one that the code is billed with.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any, Literal

from rules_service.claim.locations import Place
from rules_service.claim.parties import Provider
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.codes import clia_is_valid, ndc_is_whole
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.provider_identifier import LABORATORY_TESTS

ORDERERS: tuple[Literal["ordering", "referring"], ...] = ("ordering", "referring")
WAIVED_TEST = "QW"
Program = Literal["partb", "dme", "hha", "pmd", "hospice"]


class PublicRegisterParameters(Parameters, frozen=True):
    """`programs` (ordering) are beginnings of codes by program: a line of none of them is not asked about, nor is one with a modifier of
    `exempt_modifiers`. `codes` (laboratory) is a table of classes that names the tests; `waived_codes` are waived without modifier QW and
    `microscopy_codes` those of provider-performed microscopy. `drug_codes` (drug) is the crosswalk of packages and codes."""

    subject: Literal["ordering", "laboratory", "drug"]
    register: str
    programs: dict[Program, tuple[str, ...]] = {}
    exempt_modifiers: tuple[str, ...] = ()
    codes: str | None = None
    waived_codes: tuple[str, ...] = ()
    microscopy_codes: tuple[str, ...] = ()
    drug_codes: str | None = None


class PublicRegisterKind(RuleKind[PublicRegisterParameters]):
    """One candidate a line and provider who ordered or referred it, a laboratory test, or a drug."""

    name = "public_register"
    title = "Who ordered, laboratories and drugs in public registers"
    levels = ("line",)
    judges_void = False
    parameters = PublicRegisterParameters
    specs = fact_specs(
        (
            "register.state",
            "text",
            "listed, not_listed, not_for_program, other_name, not_in_effect, out_of_scope, not_marketed or other_code; unknown without its register.",
        ),
    )

    def check_parameters(self, parameters: PublicRegisterParameters) -> Iterator[Issue]:
        needed = {"ordering": "programs", "laboratory": "codes"}.get(parameters.subject)
        if needed and not getattr(parameters, needed):
            yield Issue("parameters", f"/{needed}", f"{parameters.subject} finds nothing without {needed}.", f"Give {needed}.")

    def table_names(self, parameters: PublicRegisterParameters) -> tuple[str, ...]:
        return tuple(name for name in (parameters.register, parameters.codes, parameters.drug_codes) if name)

    def code_tables(self, parameters: PublicRegisterParameters) -> tuple[str, ...]:
        return (parameters.codes,) if parameters.subject == "laboratory" and parameters.codes is not None else ()

    def branches(self, parameters: PublicRegisterParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        common: dict[str, Any] = {"category": "administrative", "owner_role": "biller", "next_action": "correct_claim"}

        def state(*values: str) -> dict[str, object]:
            return {"fact": "register.state", "in": list(values)}

        every: dict[str, tuple[Branch, ...]] = {
            "ordering": (
                Branch(
                    code="prov.orderer_not_enrolled", title="Who ordered may not order in Medicare", severity="deny_soft", confidence="likely",
                    at="claim.providers.referring.npi", when=state("not_listed", "not_for_program"),
                    message=line + "the {role} provider is not among those who may order or refer this service.",
                    fixes=(fix("Name the individual who ordered, or have the provider enrol to order and refer", "needs_payer_contact"),),
                    override_reasons=("enrolment_confirmed",), **common,
                ),
                Branch(
                    code="prov.orderer_name", title="Name of who ordered differs from the register", severity="deny_soft", confidence="likely",
                    at="claim.providers.referring.npi", when=state("other_name"),
                    message=line + "the name of the {role} provider is not that of the NPI in the register.",
                    fixes=(fix("Send the name as the register has it, or the NPI of who ordered"),),
                    override_reasons=("enrolment_confirmed",), **common,
                ),
            ),
            "laboratory": (
                Branch(
                    code="prov.clia_scope", title="Test beyond the laboratory's certificate", severity="deny_hard", at="line.clia_number",
                    when=state("out_of_scope"), message=line + "the certificate of the laboratory does not take this test.",
                    fixes=(fix("Send the number of the laboratory that made the test, or append QW for a waived test", "needs_documentation"),),
                    override_reasons=("certificate_changed",), **common,
                ),
                Branch(
                    code="prov.clia_not_in_effect", title="Laboratory's certificate not in effect", severity="deny_hard", at="line.clia_number",
                    when=state("not_in_effect"), message=line + "the certificate of the laboratory was not in effect on the date of service.",
                    fixes=(fix("Send the number of a certificate in effect on the date of service", "needs_documentation"),),
                    override_reasons=("certificate_changed",), **common,
                ),
                Branch(
                    code="prov.clia_unknown", title="CLIA number is not in the register", severity="warn", confidence="likely", at="line.clia_number",
                    when=state("not_listed"), message=line + "the register of laboratories does not hold this CLIA number.",
                    fixes=(fix("Correct the CLIA number"),), override_reasons=("certificate_changed",), **common,
                ),
            ),
            "drug": (
                Branch(
                    code="prov.ndc_not_marketed", title="NDC not marketed on the date of service", severity="deny_soft", confidence="likely",
                    at="line.drug.ndc", when=state("not_marketed"), message=line + "the package of this NDC was not marketed on the date of service.",
                    fixes=(fix("Send the NDC of the package used", "needs_documentation"),), override_reasons=("package_confirmed",), **common,
                ),
                Branch(
                    code="prov.ndc_unknown", title="NDC is not in the directory", severity="warn", confidence="likely", at="line.drug.ndc",
                    when=state("not_listed"), message=line + "the National Drug Code Directory does not hold this NDC.",
                    fixes=(fix("Send the NDC of the package used"),), override_reasons=("package_confirmed",), **common,
                ),
                Branch(
                    code="prov.ndc_other_code", title="NDC of another drug than the code", severity="warn", confidence="likely", at="line.drug.ndc",
                    when=state("other_code"), message=line + "the crosswalk has this NDC under another code.",
                    fixes=(fix("Check which drug was given, then correct the NDC or the code", "needs_documentation"),),
                    override_reasons=("package_confirmed",), **common,
                ),
            ),
        }  # fmt: skip
        return every[parameters.subject]

    def derive(self, parameters: PublicRegisterParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            if parameters.subject == "ordering":
                yield from _orderers(parameters, judged, line, line.code, line.date_from)
            elif parameters.subject == "laboratory":
                yield from _laboratory(parameters, judged, line, line.code, line.date_from)
            else:
                yield from _drug(parameters, judged, line, line.code, line.date_from)


def _candidate(line: LineView, state: FactValue, place: Place, role: str = "") -> Candidate:
    return Candidate(
        lines=(line,),
        place=place,
        key=role,
        qualifier=role,
        facts={"register.state": state},
        tell=partial(Telling, params={"line_number": str(line.number), "code": line.code or "", "role": role}),
    )


def _orderers(parameters: PublicRegisterParameters, judged: Judged, line: LineView, code: str, day: date) -> Iterator[Candidate]:
    program = next((name for name, beginnings in parameters.programs.items() if code.startswith(beginnings)), None)
    if program is None or set(parameters.exempt_modifiers).intersection(line.modifiers):
        return
    for role in ORDERERS:
        own = line.own_provider(role)
        provider: Provider | None = own or getattr(line.claim.providers, role)
        if provider is None or provider.npi is None:
            continue
        table = judged.lookups.codes(parameters.register, day, of=provider.npi)
        place = Place(f"line.providers.{role}.npi", line.index, line.number) if own else Place(f"claim.providers.{role}.npi")
        yield _candidate(line, table if isinstance(table, Unknown) else _ordering_state(table, provider, program, day), place, role)
        return


def _ordering_state(table: CodeTable, provider: Provider, program: str, day: date) -> str:
    entry = table.on(provider.npi or "", day.toordinal())
    if entry is None:
        return "not_listed"
    if entry.values[table.column(program)] != "Y":
        return "not_for_program"
    last, first = (str(entry.values[table.column(name)]) for name in ("last_name", "first_name"))
    given_last, given_first = _letters(provider.last_or_organization_name), _letters(provider.first_name)
    differs = (given_last and given_last[:4] != _letters(last)[:4]) or (given_first and given_first[:1] != _letters(first)[:1])
    return "other_name" if differs else "listed"


def _letters(name: str | None) -> str:
    """The letters of a name, as a comparison of names takes them: O'Brien and OBRIEN are one."""
    return "".join(char for char in (name or "").casefold() if char.isalpha())


def _laboratory(parameters: PublicRegisterParameters, judged: Judged, line: LineView, code: str, day: date) -> Iterator[Candidate]:
    classes, number = judged.classes_of(line, parameters.codes), line.laboratory_number
    if isinstance(classes, Unknown) or not classes & LABORATORY_TESTS:
        return
    if number is None or not clia_is_valid(number):
        return  # the form is asked for by `provider_identifier`
    table = judged.lookups.codes(parameters.register, day, of=number)
    place = Place("line.referring_clia_number" if line.is_referred_test else "line.clia_number", line.index, line.number)
    yield _candidate(line, table if isinstance(table, Unknown) else _certificate_state(parameters, table, number, line, code, day), place)


def _certificate_state(parameters: PublicRegisterParameters, table: CodeTable, number: str, line: LineView, code: str, day: date) -> str:
    entry = table.on(number, day.toordinal())
    if entry is None:
        return "not_in_effect" if table.rows_of(number) else "not_listed"
    certificate = entry.values[table.column("certificate")]
    takes = {"waiver": parameters.waived_codes, "microscopy": (*parameters.waived_codes, *parameters.microscopy_codes)}.get(
        str(certificate)
    )
    return "listed" if takes is None or code in takes or WAIVED_TEST in line.modifiers else "out_of_scope"


def _drug(parameters: PublicRegisterParameters, judged: Judged, line: LineView, code: str, day: date) -> Iterator[Candidate]:
    ndc = line.line.drug.ndc if line.line.drug is not None else None
    if ndc is None or not ndc_is_whole(ndc):
        return  # the form is asked for by `provider_identifier`
    place = Place("line.drug.ndc", line.index, line.number)
    packages = judged.lookups.codes(parameters.register, day, of=ndc)
    state: FactValue
    if isinstance(packages, Unknown):
        state = packages
    elif packages.on(ndc, day.toordinal()) is None:
        state = "not_marketed" if packages.rows_of(ndc) else "not_listed"
    else:
        state = "listed"
    if state == "listed" and parameters.drug_codes is not None:
        crosswalk = judged.lookups.codes(parameters.drug_codes, day)
        known = () if isinstance(crosswalk, Unknown) else crosswalk.texts_on(ndc, "code", day.toordinal())
        # The crosswalk lists the packages of priced codes only: a package it does not hold says nothing.
        state = crosswalk if isinstance(crosswalk, Unknown) else "other_code" if known and code not in known else "listed"
    yield _candidate(line, state, place)
