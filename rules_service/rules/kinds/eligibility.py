"""`eligibility`: the last eligibility answer (271) against the dates of service (domain.md 2.11).

Before the first and after the last span of coverage; a benefit that is used up; a grace month of unpaid premium, in which claims pend; spans of hospice, skilled
nursing, home health and enrolment in a Medicare Advantage plan, which move payment elsewhere. An answer older than the payer's
`fresh_days` is told. Without an answer nothing is judged. What an inactive coverage denies is recovered by billing the right payer, so it
is not a hard denial.

Consolidated billing takes what is listed, never a physician's own service: of a diagnostic test the technical part is the facility's and the
interpretation (26) is not (Pub 100-04 chapter 6 section 20; home health: chapter 10 section 20.1). While a member of a Medicare Advantage plan
is in hospice, original Medicare pays the claim (42 CFR 422.320).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any, Literal

from rules_service.claim.context import INACTIVE, CoverageSpan, Eligibility
from rules_service.claim.locations import Place
from rules_service.facts.stays import admission_day
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

Check = Literal["coverage", "benefits", "grace_period", "freshness", "hospice", "skilled_nursing", "home_health", "medicare_advantage"]
ACTIVE = frozenset({"active", "active coverage", "1", "2", "3", "4", "5"})
"""Statuses of a span in force, as words or as X12 271 EB01."""
STAYS = frozenset({"11", "18", "21", "41"})
"""Facility and class of bills of a stay."""
HOSPICE_MODIFIERS = frozenset({"GV", "GW"})
"""Attending physician not employed by the hospice; service unrelated to the terminal condition."""
HOSPICE_CONDITION = "07"
"""Condition code of an institutional claim: treatment of a condition that is not the terminal one."""
INFORMATION_ONLY = "04"
"""Condition code of a bill that a hospital sends for a member of a Medicare Advantage plan, for information only."""
TRIAL_CONDITION, TRIAL_DIAGNOSIS, TRIAL_MODIFIER = "30", "Z006", "Q1"
"""Services in a covered clinical trial, which Medicare itself pays for members of a Medicare Advantage plan (Pub 100-04 ch. 32 s. 69.9)."""
HOSPICE_BILLS = ("81", "82")
CONSOLIDATED: tuple[Check, ...] = ("skilled_nursing", "home_health")
State = str | Unknown | None
Inside = bool | Unknown | None
COVERAGE_NOT_SUPPLIED = Unknown("context_not_supplied", "context.eligibility")
SPANS_NOT_SUPPLIED = {check: Unknown("context_not_supplied", f"context.eligibility.{check}") for check in ("hospice", *CONSOLIDATED)}


class EligibilityParameters(Parameters, frozen=True):
    """`checks` says which parts of the answer this payer's claims depend on. `consolidated_codes` is a table of classes:
    `skilled_nursing` and `home_health` for codes the facility or agency bills itself during such a span, `technical` for tests of which the
    nursing facility bills the technical part, `professional` for services that are never consolidated."""

    checks: tuple[Check, ...] = ("coverage", "benefits", "grace_period", "freshness")
    fresh_days: int = 30
    consolidated_codes: str | None = None


class EligibilityKind(RuleKind[EligibilityParameters]):
    """One candidate a check and line that is denied, one for the other lines; one a claim for the age of the answer."""

    name = "eligibility"
    semantics = 6  # clinical trials of members of Medicare Advantage; benefits that are used up; stays by their admission; spans that are not in force; consolidated billing by table; hospice before Medicare Advantage; condition code 07
    title = "Coverage on the date of service"
    levels = ("line",)
    judges_void = False
    parameters = EligibilityParameters
    specs = fact_specs(
        (
            "eligibility.check",
            "text",
            "coverage, benefits, grace_period, freshness, hospice, skilled_nursing, home_health or medicare_advantage.",
        ),
        ("eligibility.state", "text", "covered, before, after, between or inactive; unknown when no answer was supplied."),
        (
            "eligibility.inside",
            "flag",
            "The day of service lies in the span asked about, or no benefit is left; unknown when it was not supplied.",
        ),
        ("eligibility.excepted", "flag", "A hospice modifier (GV, GW) or condition code 07 says that it is not the hospice's."),
    )

    def table_names(self, parameters: EligibilityParameters) -> tuple[str, ...]:
        return (parameters.consolidated_codes,) if parameters.consolidated_codes else ()

    def check_parameters(self, parameters: EligibilityParameters) -> Iterator[Issue]:
        if parameters.consolidated_codes is None and not set(CONSOLIDATED).isdisjoint(parameters.checks):
            what = "skilled_nursing and home_health need consolidated_codes: which services are consolidated is a list."
            yield Issue("parameters", "/consolidated_codes", what, "Name a table of code classes, or leave the two checks out.")

    def branches(self, parameters: EligibilityParameters) -> tuple[Branch, ...]:
        common: dict[str, Any] = {
            "category": "eligibility",
            "owner_role": "front_office",
            "next_action": "contact_payer",
            "at": "claim.subscriber.member_id",
        }
        line = "Line {line_number}: "

        def state(*values: str) -> dict[str, object]:
            return {"all": [{"fact": "eligibility.check", "is": "coverage"}, {"fact": "eligibility.state", "in": list(values)}]}

        def inside(check: str, *more: object) -> dict[str, object]:
            return {"all": [{"fact": "eligibility.check", "is": check}, {"fact": "eligibility.inside", "is": "true"}, *more]}

        rerun = fix("Run the eligibility inquiry again for the date of service and bill the coverage it names", "needs_payer_contact")
        reasons = ("coverage_confirmed", "payer_confirmed")
        every = {
            "coverage": (
                Branch(
                    code="elig.before", title="Service before coverage began", severity="deny_soft", when=state("before"),
                    message=line + "the date of service lies before the coverage the payer named.", fixes=(rerun,), override_reasons=reasons, **common,
                ),
                Branch(
                    code="elig.after", title="Service after coverage ended", severity="deny_soft", when=state("after"),
                    message=line + "the date of service lies after the coverage the payer named.", fixes=(rerun,), override_reasons=reasons, **common,
                ),
                Branch(
                    code="elig.inactive", title="Coverage not active on the date of service", severity="deny_soft", when=state("between", "inactive"),
                    message=line + "the coverage the payer named is not active on the date of service.", fixes=(rerun,), override_reasons=reasons, **common,
                ),
            ),
            "benefits": (
                Branch(
                    code="elig.benefits_exhausted", title="No benefit is left for the service", severity="deny_soft", confidence="likely",
                    when=inside("benefits"), message=line + "the payer said that no benefit is left for the service in the period.",
                    fixes=(rerun, fix("Tell the patient before the service that it is theirs to pay", "needs_payer_contact")), override_reasons=reasons, **common,
                ),
            ),
            "grace_period": (
                Branch(
                    code="elig.grace_period", title="Unpaid premium: the claim pends", severity="pend", when=inside("grace_period"),
                    message="The member is in a later month of the grace period; the payer holds the claim until the premium is paid.",
                    fixes=(fix("Ask the member to pay the premium; the claim may be denied otherwise", "needs_payer_contact"),), override_reasons=reasons, **common,
                ),
            ),
            "freshness": (
                Branch(
                    code="elig.stale", title="Eligibility answer is old", severity="info", when=inside("freshness"),
                    message="The eligibility answer is more than {days} days older than this claim.", fixes=(rerun,), **common,
                ),
            ),
            "hospice": (
                Branch(
                    code="elig.hospice.unrelated", title="Hospice modifier", when=inside("hospice", {"fact": "eligibility.excepted", "is": "true"}),
                    bypassed=True, bypassed_by="unrelated_to_hospice", **common,
                ),
                Branch(
                    code="elig.hospice", title="Patient in hospice", severity="deny_soft", when=inside("hospice"),
                    message=line + "the patient is in hospice on the date of service, and nothing says that the service is not the hospice's ({excepting}).",
                    fixes=(fix("Bill the hospice; or, if the record supports it, add modifier GV or GW (on a hospital's claim condition code 07)", "needs_documentation"),), override_reasons=reasons, **common,
                ),
            ),
            "skilled_nursing": (
                Branch(
                    code="elig.skilled_nursing", title="Patient in a covered skilled nursing stay", severity="deny_soft", confidence="likely",
                    when=inside("skilled_nursing"),
                    message=line + "the patient is in a covered skilled nursing stay; consolidated billing makes this the facility's.",
                    fixes=(fix("Bill the facility, or show that the service is excluded from consolidated billing", "needs_payer_contact"),),
                    override_reasons=reasons, **common,
                ),
            ),
            "home_health": (
                Branch(
                    code="elig.home_health", title="Patient in a home health episode", severity="deny_soft", confidence="likely", when=inside("home_health"),
                    message=line + "the patient is in a home health episode; consolidated billing makes this the agency's.",
                    fixes=(fix("Bill the agency, or show that the service is excluded from consolidated billing", "needs_payer_contact"),),
                    override_reasons=reasons, **common,
                ),
            ),
            "medicare_advantage": (
                Branch(
                    code="wrong.payer", title="The patient's Medicare is in a Medicare Advantage plan", severity="deny_soft", when=inside("medicare_advantage"),
                    message="The patient is enrolled in a Medicare Advantage plan; original Medicare does not pay the claim.",
                    fixes=(fix("Bill the Medicare Advantage plan"),), override_reasons=reasons, **common,
                ),
            ),
        }  # fmt: skip
        return tuple(branch for check in dict.fromkeys(parameters.checks) for branch in every[check])

    def derive(self, parameters: EligibilityParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        context = view.claim.context
        answer = context.eligibility if context is not None else None
        for check in dict.fromkeys(parameters.checks):
            if check in ("freshness", "grace_period", "medicare_advantage"):
                if judged.has_first_line:
                    yield self._of_claim(parameters, judged, check, answer)
                continue
            # Lines of which nothing is to be said besides what is not known are asked about together.
            quiet: dict[tuple[State, Inside, bool], list[LineView]] = {}
            for line in judged.lines:
                if line.date_from is None or not (found := self._of_line(parameters, judged, check, answer, line)):
                    continue
                state, inside = found
                if inside is not True and (state == "covered" or not isinstance(state, str)):
                    quiet.setdefault((state, inside, _is_excepted(line)), []).append(line)
                else:
                    yield _candidate(line, check, parameters, state, inside)
            for (state, inside, excepted), lines in quiet.items():
                yield Candidate(lines=lines, facts=_facts(check, state, inside, excepted), each=True)

    def _of_line(
        self, parameters: EligibilityParameters, judged: Judged, check: Check, answer: Eligibility | None, line: LineView
    ) -> tuple[State, Inside] | None:
        """State of the coverage, and whether the line lies inside the span asked about; None when the check does not concern it."""
        if check == "coverage":
            if answer is None or answer.spans is None:
                return COVERAGE_NOT_SUPPLIED, None
            return next((one for day in _days(line) if (one := _state(answer.spans, day)) != "covered"), "covered"), None
        if check == "benefits":
            used_up = _used_up(answer, line)
            return None if used_up is None else (None, used_up)
        concerned = (
            line.view.bill[:2] not in HOSPICE_BILLS if check == "hospice" else self._is_consolidated(parameters, judged, check, line)
        )
        if not concerned:
            return None
        spans: tuple[CoverageSpan, ...] | None = getattr(answer, check) if answer is not None else None
        inside = SPANS_NOT_SUPPLIED[check] if spans is None else _inside(spans, _days(line))
        return None, concerned if isinstance(concerned, Unknown) and inside is True else inside

    def _of_claim(self, parameters: EligibilityParameters, judged: Judged, check: str, answer: Eligibility | None) -> Candidate:
        view = judged.view
        inside: FactValue = None
        if answer is not None and check == "freshness" and answer.checked_at is not None:
            inside = (view.received_date - answer.checked_at.date()).days > parameters.fresh_days
        elif answer is not None and check == "grace_period" and answer.grace_month is not None:
            inside = answer.grace_month >= 2
        elif answer is not None and check == "medicare_advantage":
            in_hospice = answer.hospice is not None and _inside(answer.hospice, [day for line in view.lines for day in _days(line)])
            passing = INFORMATION_ONLY in view.claim.condition_codes or _in_clinical_trial(view)
            inside = answer.medicare_advantage_plan is not None and not in_hospice and not passing
        return Candidate(
            lines=view.lines,
            amount=view.total_at_risk,
            place=Place("claim.subscriber.member_id"),
            key=check,
            facts=_facts(check, None, inside, False),
            tell=partial(Telling, params={"days": str(parameters.fresh_days), "line_number": "1"}),
        )

    def _is_consolidated(self, parameters: EligibilityParameters, judged: Judged, check: Check, line: LineView) -> bool | Unknown:
        """Whether the facility or agency bills the line's service itself."""
        if line.code is None or line.date_from is None:
            return False
        classes = judged.lookups.once(_classes, parameters.consolidated_codes or "", line.code, line.date_from)
        if isinstance(classes, Unknown):
            return classes
        has_technical_part = check == "skilled_nursing" and "technical" in classes and "26" not in line.modifiers
        return check in classes or has_technical_part


def _classes(lookups: Lookups, name: str, code: str, day: date) -> set[str] | Unknown:
    table = lookups.codes(name, day, of=code)
    return table if isinstance(table, Unknown) else table.texts_on(code, "class", day.toordinal())


def _in_clinical_trial(view: ClaimView) -> bool:
    """By condition code; on a professional claim by diagnosis and modifier."""
    diagnosed = any(one.code.replace(".", "") == TRIAL_DIAGNOSIS for one in view.claim.diagnoses)
    return TRIAL_CONDITION in view.claim.condition_codes or (diagnosed and any(TRIAL_MODIFIER in line.modifiers for line in view.lines))


def _days(line: LineView) -> list[date]:
    """The days on which the patient must be eligible: each day of a professional line, the first of an institutional one; of a stay the day of
    admission."""
    admitted = admission_day(line.view) if line.view.bill[:2] in STAYS else None
    if admitted is not None:
        return [admitted]
    return line.days[:1] if line.claim.claim_type == "institutional" else line.days


def _state(spans: tuple[CoverageSpan, ...], day: date) -> str | Unknown:
    """Where the day lies among the spans of coverage. A span whose status is not active is no coverage."""
    statuses = [(span.status or "active").casefold().strip() for span in spans]
    active = [span for span, status in zip(spans, statuses, strict=True) if status in ACTIVE]
    if any(span.spans(day) for span in active):
        return "covered"
    if any(status not in ACTIVE | INACTIVE and span.spans(day) for span, status in zip(spans, statuses, strict=True)):
        return Unknown("context_not_supplied", "context.eligibility.spans.status")
    if not active:
        return "inactive"
    if all(span.from_ is not None and day < span.from_ for span in active):
        return "before"
    return "after" if all(span.through is not None and span.through < day for span in active) else "between"


def _used_up(answer: Eligibility | None, line: LineView) -> bool | None:
    """Whether the payer said that nothing is left for the code, in services or dollars (271 EB06 to EB10); None where it said nothing of it."""
    told = answer.benefits_remaining if answer is not None else None
    found = [one for one in told or () if line.code is not None and one.procedure_code == line.code]
    left = [
        *(one.quantity.thousandths for one in found if one.quantity is not None),
        *(one.amount.cents for one in found if one.amount is not None),
    ]
    return min(left) <= 0 if left else None


def _inside(spans: tuple[CoverageSpan, ...], days: list[date]) -> bool:
    return any(span.holds(day) for span in spans for day in days)


def _is_excepted(line: LineView) -> bool:
    """Whether the line says that it is not the hospice's."""
    if line.claim.claim_type == "institutional":
        return HOSPICE_CONDITION in line.claim.condition_codes
    return not HOSPICE_MODIFIERS.isdisjoint(line.modifiers)


def _facts(check: str, state: FactValue, inside: FactValue, excepted: FactValue) -> dict[str, FactValue]:
    return {"eligibility.check": check, "eligibility.state": state, "eligibility.inside": inside, "eligibility.excepted": excepted}


def _candidate(line: LineView, check: str, parameters: EligibilityParameters, state: State, inside: Inside) -> Candidate:
    return Candidate(
        lines=(line,),
        place=Place("claim.subscriber.member_id"),
        key=f"{check}/{line.number}",
        facts=_facts(check, state, inside, _is_excepted(line)),
        tell=partial(
            Telling,
            params={
                "line_number": str(line.number),
                "days": str(parameters.fresh_days),
                "excepting": "condition code 07" if line.claim.claim_type == "institutional" else "modifier GV or GW",
            },
            shown={"service_date": line.date_from.isoformat() if line.date_from else None},
        ),
    )
