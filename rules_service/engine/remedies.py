"""Mechanical remedies of findings: changes of the claim that may be tried, by finding code.

A remedy says what would have to change, never that it is true: whoever applies one that touches a code, modifier, unit, diagnosis or date
needs the record that bears it out, so none of these is ever `auto_safe`. They are offered only after the changed claim was judged again
(`engine/clean_change.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rules_service.claim.claim import Claim
from rules_service.facts.derived import TOTAL_LINE
from rules_service.findings.finding import Finding, Fix, FixClass, PatchOperation
from rules_service.primitives.money import Money

Remedy = Callable[[Claim, Finding], Iterator[Fix]]
SIDES = ("LT", "RT")
MAX_AUTHORIZATIONS = 5


def remedies(claim: Claim, finding: Finding) -> list[Fix]:
    """What may be tried against a finding: the fixes it carries with a patch, then those of its code."""
    found = [fix for fix in finding.fixes if fix.patch]
    for codes, remedy in _REMEDIES:
        if finding.code in codes:
            found += remedy(claim, finding)
    return found


def _index(claim: Claim, number: int) -> int | None:
    return next((at for at, line in enumerate(claim.service_lines) if line.line_number == number), None)


def _lines(claim: Claim, finding: Finding) -> Iterator[tuple[int, str]]:
    for number in finding.line_numbers:
        at = _index(claim, number)
        if at is not None:
            yield at, f"/service_lines/{at}"


def _set(path: str, value: object) -> PatchOperation:
    """RFC 6902 `add`: the member may be there or not."""
    return PatchOperation(op="add", path=path, value=value)


def _fix(label: str, class_: FixClass, *operations: PatchOperation) -> Fix:
    return Fix(label=label, class_=class_, patch=operations)


def _remove_line(claim: Claim, finding: Finding) -> Iterator[Fix]:
    if len(finding.line_numbers) == 1 and len(claim.service_lines) > 1:
        for at, path in _lines(claim, finding):
            total = claim.total_charge_amount.cents - claim.service_lines[at].charge_amount.cents
            removed = PatchOperation(op="remove", path=path)
            yield _fix("Remove the line", "needs_documentation", removed, _set("/total_charge_amount", str(Money(total))))


def _units_to_limit(claim: Claim, finding: Finding) -> Iterator[Fix]:
    most = finding.expected.get("units_at_most")
    if isinstance(most, int) and most > 0 and len(finding.line_numbers) == 1:
        for _, path in _lines(claim, finding):
            change = _set(f"{path}/unit_count", str(most))
            yield _fix("Bill the units the limit allows, if the record says so", "needs_documentation", change)


def _one_bilateral_line(claim: Claim, finding: Finding) -> Iterator[Fix]:
    """RT and LT of one code and day on one line with modifier 50 and one unit."""
    at = [place for place, _ in _lines(claim, finding)]
    if len(at) != 2:
        return
    first, second = (claim.service_lines[place] for place in at)
    sides = [next((one for one in line.modifiers if one in SIDES), None) for line in (first, second)]
    if set(sides) == set(SIDES) and (first.procedure_code, first.service_from) == (second.procedure_code, second.service_from):
        path = f"/service_lines/{at[0]}"
        yield _fix(
            "Bill one line with modifier 50 and one unit",
            "needs_documentation",
            _set(f"{path}/modifiers", ["50", *(one for one in first.modifiers if one not in SIDES)]),
            _set(f"{path}/unit_count", "1"),
            _set(f"{path}/charge_amount", str(Money(first.charge_amount.cents + second.charge_amount.cents))),
            PatchOperation(op="remove", path=f"/service_lines/{at[1]}"),
        )


def _one_unit(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for _, path in _lines(claim, finding):
        yield _fix("Bill one unit", "needs_documentation", _set(f"{path}/unit_count", "1"))


def _without(*modifiers: str) -> Remedy:
    def remedy(claim: Claim, finding: Finding) -> Iterator[Fix]:
        for at, path in _lines(claim, finding):
            kept = [one for one in claim.service_lines[at].modifiers if one not in modifiers]
            if len(kept) < len(claim.service_lines[at].modifiers):
                named = ", ".join(sorted(set(claim.service_lines[at].modifiers) - set(kept)))
                yield _fix(f"Remove modifier {named}", "needs_documentation", _set(f"{path}/modifiers", kept))

    return remedy


def _with_modifier(modifier: str) -> Remedy:
    def remedy(claim: Claim, finding: Finding) -> Iterator[Fix]:
        for at, path in _lines(claim, finding):
            held = claim.service_lines[at].modifiers
            if len(held) < 4:
                change = _set(f"{path}/modifiers", [*held, modifier])
                yield _fix(f"Append modifier {modifier} if the record supports it", "needs_documentation", change)

    return remedy


def _required_modifier(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for modifier in finding.expected.get("modifiers_any_of", ())[:3]:
        yield from _with_modifier(str(modifier))(claim, finding)


def _minutes(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for _, path in _lines(claim, finding):
        yield _fix("Send the units as minutes (MJ), if they are minutes", "data_entry", _set(f"{path}/unit_basis", "MJ"))


def _at_home(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for _, path in _lines(claim, finding):
        yield _fix(
            "Use place of service 10, if the patient was at home", "needs_documentation", _set(f"{path}/place_of_service_code", "10")
        )


def _without_second_diagnosis(claim: Claim, finding: Finding) -> Iterator[Fix]:
    """The diagnosis listed twice goes, and the lines that point to it point to the first one."""
    at = int(finding.location.json_pointer.split("/")[2])
    second = claim.diagnoses[at]
    first = next((one for one in claim.diagnoses[:at] if one.code == second.code), None)
    if first is not None:
        moved = [
            (place, list(dict.fromkeys(first.sequence if one == second.sequence else one for one in line.diagnosis_pointers)))
            for place, line in enumerate(claim.service_lines)
            if second.sequence in line.diagnosis_pointers
        ]
        yield _fix(
            "Remove the second one and point to the first",
            "data_entry",
            *(_set(f"/service_lines/{place}/diagnosis_pointers", pointers) for place, pointers in moved),
            PatchOperation(op="remove", path=f"/diagnoses/{at}"),
        )


def _without_patient(claim: Claim, finding: Finding) -> Iterator[Fix]:
    if claim.patient is not None:
        yield _fix("Send the subscriber as the patient, once", "data_entry", PatchOperation(op="remove", path="/patient"))


def _copy(source: str, path: str) -> PatchOperation:
    """RFC 6902 `copy`: an identifier goes from one place of the claim to another and stands in no patch."""
    return PatchOperation(op="copy", from_=source, path=path)


def _sum_of_lines(claim: Claim, finding: Finding) -> Iterator[Fix]:
    total = Money(sum(line.charge_amount.cents for line in claim.service_lines if line.revenue_code != TOTAL_LINE))
    yield _fix("Make the total the sum of the lines", "data_entry", _set("/total_charge_amount", str(total)))


def _existing_pointers(claim: Claim, finding: Finding) -> Iterator[Fix]:
    known = {one.sequence for one in claim.diagnoses}
    for at, path in _lines(claim, finding):
        kept = [one for one in claim.service_lines[at].diagnosis_pointers if one in known]
        if kept:
            yield _fix("Remove the pointer that names no diagnosis", "data_entry", _set(f"{path}/diagnosis_pointers", kept))


def _as_original(claim: Claim, finding: Finding) -> Iterator[Fix]:
    removed = [PatchOperation(op="remove", path="/payer_claim_control_number")] if claim.payer_claim_control_number else []
    yield _fix("Send it as an original (frequency 1) without REF*F8", "data_entry", _set("/claim_frequency_code", "1"), *removed)


def _number_of_earlier_submission(claim: Claim, finding: Finding) -> Iterator[Fix]:
    prior = claim.submission.prior if claim.submission is not None and claim.submission.prior is not None else ()
    for at, one in enumerate(prior):
        if one.payer_claim_control_number:
            number = _copy(f"/submission/prior/{at}/payer_claim_control_number", "/payer_claim_control_number")
            yield _fix("Send the payer's control number of the earlier submission (REF*F8)", "data_entry", number)


def _authorization_on_file(claim: Claim, finding: Finding) -> Iterator[Fix]:
    """The number of a recorded authorization; judged again, only one that covers the line takes the finding away."""
    held = claim.context.authorizations if claim.context is not None and claim.context.authorizations is not None else ()
    for _, path in _lines(claim, finding):
        for at, one in enumerate(held[:MAX_AUTHORIZATIONS]):
            if one.number:
                number = _copy(f"/context/authorizations/{at}/number", f"{path}/prior_authorization_number")
                yield _fix("Send the number of the authorization on file (REF*G1)", "data_entry", number)


def _referral_as_authorization(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for at, path in _lines(claim, finding):
        source = f"{path}/referral_number" if claim.service_lines[at].referral_number else "/referral_number"
        if claim.referral_number or claim.service_lines[at].referral_number:
            number = _copy(source, f"{path}/prior_authorization_number")
            yield _fix("Send the number of REF*9F as REF*G1, if it is the authorization", "data_entry", number)


def _without_repeated_modifier(claim: Claim, finding: Finding) -> Iterator[Fix]:
    for at, path in _lines(claim, finding):
        kept = list(dict.fromkeys(claim.service_lines[at].modifiers))
        yield _fix("Remove the modifier that stands twice", "data_entry", _set(f"{path}/modifiers", kept))


def _candidate_codes(claim: Claim, finding: Finding) -> Iterator[Fix]:
    path = finding.location.json_pointer
    for code in finding.expected.get("candidates", ())[:3]:
        yield _fix(f"Code {code} if the record supports it", "needs_documentation", _set(path, str(code)))


def _without_control_number(claim: Claim, finding: Finding) -> Iterator[Fix]:
    yield _fix("Remove the payer claim control number", "data_entry", PatchOperation(op="remove", path="/payer_claim_control_number"))


_REMEDIES: tuple[tuple[frozenset[str], Remedy], ...] = tuple(
    (frozenset(codes.split()), remedy)
    for codes, remedy in (
        (
            "ncci.ptp ncci.ptp.never_together ncci.ptp.cross_claim dup.line dup.exact aoc.no_primary status.bundled assistant.not_paid",
            _remove_line,
        ),
        ("ncci.ptp.bypassed ncci.ptp.same_side", _remove_line),
        ("mue.mai1 mue.mai2 mue.mai3", _one_bilateral_line),
        ("mue.mai1 mue.mai2 mue.mai3 freq.period", _units_to_limit),
        ("bilateral.units", _one_unit),
        ("bilateral.side_modifiers", _without(*SIDES)),
        ("bilateral.not_applicable bilateral.surgical_center aoc.modifier", _without("50", "51")),
        ("assistant.not_applicable", _without("80", "81", "82", "AS")),
        ("co_surgeon.not_paid team.not_paid", _without("62", "66")),
        ("component.professional component.technical", _without("26", "TC")),
        ("component.facility_global", _with_modifier("26")),
        ("global.wrong_57", _without("57")),
        ("global.visit_same_day", _with_modifier("25")),
        ("global.visit_before", _with_modifier("57")),
        ("global.em", _with_modifier("24")),
        ("prov.clia_waived_modifier", _with_modifier("QW")),
        ("mod.missing anes.modifier telehealth.pos_mod", _required_modifier),
        ("anes.minutes", _minutes),
        ("telehealth.home_as_02", _at_home),
        ("bal.line_sum", _sum_of_lines),
        ("dx.pointer", _existing_pointers),
        ("dx.invalid_dos dx.unspecified_length", _candidate_codes),
        ("corr.only_rejected", _as_original),
        ("corr.icn_on_original", _without_control_number),
        ("corr.no_icn", _number_of_earlier_submission),
        ("auth.missing auth.referral_number_used auth.not_on_file auth.voluntary_review", _authorization_on_file),
        ("auth.referral_number_used", _referral_as_authorization),
        ("mod.repeated", _without_repeated_modifier),
        ("dx.duplicate", _without_second_diagnosis),
        ("fmt.same_person_twice", _without_patient),
    )
)
