"""`provider_identifier`: taxonomy, tax id, CLIA and NDC in their published form, and where they are needed (domain.md 2.7).

CLIA numbers have ten characters with a D in the third place (42 CFR 493); a laboratory code needs one (REF*X4), a waived test also
modifier QW where the code takes it, and one claim is from one laboratory. An NDC has eleven digits, with quantity and unit (LIN, CTP).
The value of an identifier stands in no message or patch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from rules_service.claim.locations import Place
from rules_service.claim.parties import Provider
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Fix, PatchOperation
from rules_service.primitives.codes import clia_is_valid, eleven_digits, ndc_is_whole, without_punctuation
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

_TAXONOMY = re.compile(r"[0-9]{3}[0-9A-Z]{6}X\Z")
LABORATORY_TESTS = frozenset({"clia", "clia_waived"})
"""Classes of the codes that need a CLIA number."""
NDC_UNITS = ("F2", "GR", "ME", "ML", "UN")


class ProviderIdentifierParameters(Parameters, frozen=True):
    """`codes` is a table of classes by procedure code: `clia`, `clia_waived` (takes QW), `ndc`. `taxonomy_table` is the NUCC list;
    `requires_taxonomy` says whose taxonomy the payer wants; billing providers of the taxonomies `full_laboratories` work under another
    certificate than one of waiver."""

    subject: Literal["taxonomy", "tax_id", "clia", "ndc"]
    codes: str | None = None
    taxonomy_table: str | None = None
    requires_taxonomy: tuple[Literal["billing", "rendering"], ...] = ()
    full_laboratories: tuple[str, ...] = ()


class ProviderIdentifierKind(RuleKind[ProviderIdentifierParameters]):
    """One candidate a provider or line in question."""

    name = "provider_identifier"
    semantics = 3  # reference laboratories; rendering providers of lines; drugs without a procedure code
    title = "Taxonomy, tax id, CLIA and NDC"
    levels = ("line",)
    parameters = ProviderIdentifierParameters
    specs = fact_specs(
        (
            "provider_id.state",
            "text",
            "valid, missing, malformed, repairable, quantity, unit, second_laboratory, referred_missing or referred_malformed; unknown without its table.",
        ),
        ("provider_id.waived_modifier", "flag", "Modifier QW is there; absent when the test does not take it."),
    )

    def table_names(self, parameters: ProviderIdentifierParameters) -> tuple[str, ...]:
        return tuple(name for name in (parameters.codes, parameters.taxonomy_table) if name)

    def code_tables(self, parameters: ProviderIdentifierParameters) -> tuple[str, ...]:
        return (parameters.codes,) if parameters.subject == "clia" and parameters.codes is not None else ()

    def branches(self, parameters: ProviderIdentifierParameters) -> tuple[Branch, ...]:
        def state(*values: str) -> dict[str, object]:
            return {"fact": "provider_id.state", "in": list(values)}

        common: dict[str, Any] = {
            "severity": "reject",
            "category": "administrative",
            "owner_role": "biller",
            "next_action": "correct_claim",
        }
        line = "Line {line_number} {code}: "
        every: dict[str, tuple[Branch, ...]] = {
            "taxonomy": (
                Branch(
                    code="prov.taxonomy", title="Taxonomy code missing or not in the published list", at="claim.providers.billing.taxonomy_code",
                    when=state("missing", "malformed"), message="The {role} provider's taxonomy code is missing or is not in the NUCC list.",
                    fixes=(fix("Send the taxonomy code under which the provider is enrolled"),), **{**common, "severity": "deny_soft"},
                ),
            ),
            "tax_id": (
                Branch(
                    code="fmt.tax_id", title="Tax id is not nine digits", at="claim.providers.billing.tax_id", when=state("missing", "malformed", "repairable"),
                    message="The billing provider's tax id is not nine digits.", **common,
                ),
            ),
            "clia": (
                Branch(
                    code="prov.clia", title="CLIA number is missing", at="line.clia_number", when=state("missing"),
                    message=line + "a laboratory service needs the CLIA number (REF*X4).", fixes=(fix("Add the CLIA number of the laboratory"),), **common,
                ),
                Branch(
                    code="prov.clia_format", title="CLIA number not in its form", at="line.clia_number", when=state("malformed"),
                    message=line + "a CLIA number has ten characters with a D in the third place.", fixes=(fix("Correct the CLIA number"),), **common,
                ),
                Branch(
                    code="prov.clia_referred", title="CLIA number of the reference laboratory is missing or not in its form", at="line.referring_clia_number",
                    when=state("referred_missing", "referred_malformed"),
                    message=line + "a test that another laboratory made (modifier 90) needs that laboratory's CLIA number (REF*F4).",
                    fixes=(fix("Add the CLIA number of the laboratory that made the test"),), **common,
                ),
                Branch(
                    code="prov.clia_two_laboratories", title="Two laboratories on one claim", at="line.clia_number", when=state("second_laboratory"),
                    message=line + "another CLIA number stands on the claim; each laboratory bills its own.", fixes=(fix("Bill each laboratory on its own claim"),), **common,
                ),
                Branch(
                    code="prov.clia_waived_modifier", title="Waived test without modifier QW", at="line.modifiers", confidence="possible",
                    when={"fact": "provider_id.waived_modifier", "is": "false"},
                    message=line + "a laboratory with a certificate of waiver bills this test with modifier QW.",
                    fixes=(fix("Append QW if the laboratory has a certificate of waiver", "needs_documentation"),), **{**common, "severity": "warn"},
                ),
            ),
            "ndc": (
                Branch(
                    code="prov.ndc", title="NDC is missing", at="line.drug.ndc", when=state("missing"),
                    message=line + "the drug needs its NDC with quantity and unit.", fixes=(fix("Add the NDC of the package used (LIN, CTP)"),), **common,
                ),
                Branch(
                    code="prov.ndc_format", title="NDC is not eleven digits", at="line.drug.ndc", when=state("malformed", "repairable"),
                    message=line + "an NDC on a claim has eleven digits (5-4-2) without dashes.",
                    fixes=(fix("Enter the eleven digits of the package, with a zero before the part that is short"),), **common,
                ),
                Branch(
                    code="prov.ndc_quantity", title="NDC without a quantity and its unit", at="line.drug.quantity", when=state("quantity", "unit"),
                    message=line + "an NDC comes with a quantity above 0 in F2, GR, ME, ML or UN.", fixes=(fix("Add the quantity and unit of the drug"),), **common,
                ),
            ),
        }  # fmt: skip
        return every[parameters.subject]

    def derive(self, parameters: ProviderIdentifierParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        if parameters.subject == "tax_id" and judged.has_first_line:
            yield _tax_id(view.lines, view.claim.providers.billing.tax_id)
        elif parameters.subject == "taxonomy" and judged.has_first_line:
            yield from self._taxonomies(parameters, judged)
        elif parameters.subject in ("clia", "ndc"):
            yield from self._by_code(parameters, judged)

    def _taxonomies(self, parameters: ProviderIdentifierParameters, judged: Judged) -> Iterator[Candidate]:
        view, claim = judged.view, judged.view.claim
        named: list[tuple[str, Provider | None, Place, list[LineView]]] = [
            (role, provider, Place(f"claim.providers.{role}.taxonomy_code"), view.lines)
            for role, provider in (("billing", claim.providers.billing), ("rendering", claim.providers.rendering))
        ]
        for line in view.lines:
            named.append(
                (
                    "rendering",
                    line.own_provider("rendering"),
                    Place("line.providers.rendering.taxonomy_code", line.index, line.number),
                    [line],
                )
            )
        nothing_wrong: dict[FactValue, list[LineView]] = {}
        for role, provider, place, lines in named:
            if provider is None:
                continue
            code = provider.taxonomy_code
            table = judged.lookups.codes(parameters.taxonomy_table, view.received_date, of=code) if parameters.taxonomy_table else None
            state: FactValue = "valid"
            if code is None:
                state = "missing" if role in parameters.requires_taxonomy else None
            elif not _TAXONOMY.match(code):
                state = "malformed"
            elif isinstance(table, Unknown):
                state = table
            elif table is not None and table.on(code, view.received_date.toordinal()) is None:
                state = "malformed"
            if state in ("valid", None):
                nothing_wrong.setdefault(state, []).extend(lines)
                continue
            yield Candidate(
                lines=lines,
                amount=view.total_at_risk if lines is view.lines else None,
                key=role,
                qualifier=role,
                place=place,
                facts={"provider_id.state": state, "provider_id.waived_modifier": None},
                tell=partial(Telling, params={"role": role}, shown={"role": role}),
            )
        for told, lines in nothing_wrong.items():
            whose = {line.number: line for line in lines}
            facts: dict[str, FactValue] = {"provider_id.state": told, "provider_id.waived_modifier": None}
            yield Candidate(lines=[whose[number] for number in sorted(whose)], facts=facts)

    def _by_code(self, parameters: ProviderIdentifierParameters, judged: Judged) -> Iterator[Candidate]:
        first_clia: str | None = None
        takes_waivers = judged.view.claim.providers.billing.taxonomy_code not in parameters.full_laboratories
        for line in judged.lines:
            known = judged.classes_of(line, parameters.codes)
            classes = frozenset[str]() if isinstance(known, Unknown) else known
            if parameters.subject == "ndc":
                for fault in _ndc_states(line, "ndc" in classes):
                    yield _of_line(line, fault, None, _ndc_fixes(line) if fault == "repairable" else ())
            if isinstance(known, Unknown):
                yield _of_line(line, known, None)
            if parameters.subject == "ndc" or not classes & LABORATORY_TESTS:
                continue
            clia = line.laboratory_number
            waived = "QW" in line.modifiers if takes_waivers and "clia_waived" in classes else None
            state = "missing" if clia is None else "valid" if clia_is_valid(clia) else "malformed"
            if line.is_referred_test:
                yield _of_line(line, f"referred_{state}" if state != "valid" else state, waived)
                continue
            if state == "valid" and first_clia not in (None, clia):
                state = "second_laboratory"
            first_clia = first_clia or (clia if state == "valid" else None)
            yield _of_line(line, state, waived)


def _of_line(line: LineView, state: FactValue, waived: bool | None, fixes: tuple[Fix, ...] = ()) -> Candidate:
    return Candidate(
        lines=(line,),
        place=Place("line.modifiers", line.index, line.number),
        facts={"provider_id.state": state, "provider_id.waived_modifier": waived},
        tell=partial(Telling, params={"line_number": str(line.number), "code": line.code or ""}, fixes=fixes),
    )


def _tax_id(lines: list[LineView], tax_id: str | None) -> Candidate:
    bare = without_punctuation(tax_id or "")
    nine = len(bare) == 9 and bare.isascii() and bare.isdigit()
    state = "missing" if tax_id is None else "valid" if nine and bare == tax_id else "repairable" if nine else "malformed"
    repair = PatchOperation(op="replace", path="/providers/billing/tax_id", transformation="remove_punctuation")
    fixes = (
        (fix("Remove spaces, dashes and dots", "auto_safe", (repair,)),)
        if state == "repairable"
        else (fix("Enter the nine digits of the tax id"),)
    )
    return Candidate(
        lines=lines,
        place=Place("claim.providers.billing.tax_id"),
        facts={"provider_id.state": state, "provider_id.waived_modifier": None},
        tell=partial(Telling, actual={"length": len(tax_id or "")}, fixes=fixes),
    )


def _ndc_states(line: LineView, is_needed: bool) -> list[str | None]:
    """What is wrong with the code, and what with its quantity; valid when neither is."""
    drug = line.line.drug
    if drug is None or not drug.ndc:
        return ["missing" if is_needed else None]
    found: list[str | None] = []
    if not ndc_is_whole(drug.ndc):
        found.append("repairable" if eleven_digits(drug.ndc) is not None else "malformed")
    if drug.quantity is None or drug.quantity.thousandths <= 0:
        found.append("quantity")
    elif drug.unit not in NDC_UNITS:
        found.append("unit")
    return found or ["valid"]


def _ndc_fixes(line: LineView) -> tuple[Fix, ...]:
    repair = PatchOperation(op="replace", path=f"/service_lines/{line.index}/drug/ndc", transformation="ndc_to_eleven_digits")
    return (fix("Write the NDC in eleven digits: pad its parts to 5-4-2 and remove the dashes", "auto_safe", (repair,)),)
