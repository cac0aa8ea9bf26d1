"""`claim_frequency`: originals, replacements and voids (CLM05-3; domain.md 2.12; X12 RFI 1942).

1 original, 7 replacement, 8 void. A replacement or void names the payer's control number of the claim it replaces (REF*F8), repeats
every line that stays, and replaces a claim that was adjudicated: not one that was only rejected, not one that is still pending.
What a payer takes is a parameter; on professional claims Medicare Part B takes no replacement and reopens instead, which is a documented
default of its pack, not known from a source checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import replaced_lines


class ClaimFrequencyParameters(Parameters, frozen=True):
    """`accepted` are the codes this payer takes; `refused_means` says what it wants in the place of a replacement."""

    accepted: tuple[str, ...] = ("1", "7", "8")
    refused_means: Literal["not_accepted", "reopening"] = "not_accepted"


class ClaimFrequencyKind(RuleKind[ClaimFrequencyParameters]):
    """One candidate a claim."""

    name = "claim_frequency"
    semantics = 2  # a claim that was only rejected has no control number
    title = "Originals, replacements and voids"
    levels = ("claim",)
    parameters = ClaimFrequencyParameters
    specs = fact_specs(
        ("frequency_code.accepted", "flag", "The payer takes this claim frequency code."),
        ("frequency_code.replaces", "flag", "It is 7 or 8."),
        ("frequency_code.voids", "flag", "It is 8."),
        ("frequency_code.control_number_present", "flag", "REF*F8 is given."),
        (
            "frequency_code.prior_state",
            "text",
            "rejected, pending or adjudicated: what became of the claim it replaces; unknown when not told.",
        ),
        ("frequency_code.lines_missing", "codes", "Numbers of earlier lines of that claim that are not repeated; unknown without history."),
        ("frequency_code.of_other_payer", "flag", "The history has the claim it replaces under another payer; absent for an original."),
    )

    def branches(self, parameters: ClaimFrequencyParameters) -> tuple[Branch, ...]:
        replaces = {"fact": "frequency_code.replaces", "is": "true"}
        was_rejected = {"fact": "frequency_code.prior_state", "is": "rejected"}
        number = {"fact": "frequency_code.control_number_present", "is": "true"}
        at = "claim.claim_frequency_code"
        common: dict[str, Any] = {"category": "administrative", "owner_role": "biller", "next_action": "correct_claim"}
        reopening = parameters.refused_means == "reopening"
        return (
            Branch(
                code="corr.use_reopening" if reopening else "corr.freq_not_allowed",
                title="Replacement where the payer reopens claims" if reopening else "Claim frequency code the payer does not take",
                at=at,
                severity="reject",
                when={"fact": "frequency_code.accepted", "is": "false"},
                message="Claim frequency {frequency} is not taken; "
                + ("ask for a reopening or appeal instead." if reopening else "the payer takes {accepted}."),
                fixes=(
                    fix("Ask for a reopening or appeal of the earlier claim", "needs_payer_contact")
                    if reopening
                    else fix("Use a code the payer takes"),
                ),
                **common,
            ),
            Branch(
                code="corr.nothing_to_void",
                title="Void of a claim that was only rejected",
                at=at,
                severity="reject",
                when={"all": [{"fact": "frequency_code.voids", "is": "true"}, was_rejected]},
                message="The earlier submission was rejected and never adjudicated: there is nothing to void.",
                fixes=(fix("Send nothing: the payer never took the claim", "not_fixable"),),
                **common,
            ),
            Branch(
                code="corr.only_rejected",
                title="Replacement of a claim that was only rejected",
                at=at,
                severity="reject",
                when={"all": [{"fact": "frequency_code.voids", "is": "false"}, was_rejected]},
                message="The earlier submission was rejected and never adjudicated: there is nothing to replace.",
                fixes=(fix("Send it as an original (frequency 1) without REF*F8"),),
                **common,
            ),
            Branch(
                code="corr.no_icn",
                title="Replacement or void without the payer's control number",
                at="claim.payer_claim_control_number",
                severity="reject",
                when={"all": [replaces, {"fact": "frequency_code.control_number_present", "is": "false"}]},
                message="Claim frequency {frequency} needs the payer claim control number of the claim it replaces (REF*F8).",
                fixes=(fix("Add the payer claim control number from the remittance (REF*F8)"),),
                **common,
            ),
            Branch(
                code="corr.original_pending",
                title="Replacement while the original is pending",
                at=at,
                severity="deny_soft",
                when={"all": [replaces, {"fact": "frequency_code.prior_state", "is": "pending"}]},
                message="The claim it replaces has not been adjudicated yet.",
                fixes=(fix("Wait for the remittance, then replace", "needs_payer_contact"),),
                **common,
            ),
            Branch(
                code="corr.other_payer",
                title="Replacement of a claim to another payer",
                at="claim.payer_claim_control_number",
                severity="reject",
                confidence="likely",
                when={"all": [replaces, {"fact": "frequency_code.of_other_payer", "is": "true"}]},
                message="The claim that the payer claim control number (REF*F8) names was sent to another payer.",
                fixes=(fix("Take the control number from this payer's remittance, or send an original"),),
                **common,
            ),
            Branch(
                code="corr.icn_on_original",
                title="Original with a payer's control number",
                at="claim.payer_claim_control_number",
                severity="warn",
                confidence="likely",
                when={"all": [{"fact": "frequency_code.replaces", "is": "false"}, number]},
                message="An original claim carries a payer claim control number (REF*F8): is it a replacement?",
                fixes=(fix("Use frequency 7 for a replacement, or remove REF*F8"),),
                **common,
            ),
            Branch(
                code="corr.lines_missing",
                title="Replacement that leaves out lines of the original",
                at="claim.service_lines",
                severity="warn",
                confidence="likely",
                when={"all": [replaces, {"fact": "frequency_code.lines_missing", "present": "true"}]},
                message="Earlier lines {missing} are not repeated; a replacement voids what it leaves out.",
                fixes=(fix("Repeat every line that is to stay", "data_entry"),),
                override_reasons=("line_removed_on_purpose",),
                **common,
            ),
        )

    def derive(self, parameters: ClaimFrequencyParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        code = view.claim.claim_frequency_code
        if view.claim.claim_type == "institutional" and code not in ("1", "7", "8"):
            return  # the other digits of a type of bill are interim bills and late charges
        replaces = code in ("7", "8")
        missing: FactValue = _missing(view) if code == "7" else None
        shown = ", ".join(missing) if isinstance(missing, tuple) else ""
        yield Candidate(
            lines=view.lines,
            amount=view.total_at_risk,
            facts={
                "frequency_code.accepted": code in parameters.accepted,
                "frequency_code.replaces": replaces,
                "frequency_code.voids": code == "8",
                "frequency_code.control_number_present": bool(view.claim.payer_claim_control_number),
                "frequency_code.prior_state": _prior_state(view) if replaces else None,
                "frequency_code.lines_missing": missing,
                "frequency_code.of_other_payer": _is_of_other_payer(view) if replaces else None,
            },
            tell=partial(
                Telling,
                params={"frequency": code, "accepted": ", ".join(parameters.accepted), "missing": shown},
                expected={"claim_frequency_codes": list(parameters.accepted)},
                actual={"claim_frequency_code": code if code.isalnum() and len(code) == 1 else "(not a code)"},
            ),
        )


def _prior_state(view: ClaimView) -> str | Unknown | None:
    """What became of the claim this one replaces: from its submissions, else from the history of its control number."""
    submission = view.claim.submission
    states = [one.status for one in submission.prior if one.status] if submission is not None and submission.prior is not None else []
    if not states:
        states = [one.status for one in replaced_lines(view) if one.status]
    if not states and not view.claim.payer_claim_control_number:
        return None  # the control number is asked for first
    if not states:
        return Unknown("context_not_supplied", "submission.prior")
    if any(state in ("paid", "denied") for state in states):
        return "adjudicated"
    return "pending" if any(state in ("accepted", "pending") for state in states) else "rejected"


def _is_of_other_payer(view: ClaimView) -> bool:
    named = [one.payer_id for one in replaced_lines(view) if one.payer_id is not None]
    return bool(named) and not any(map(view.is_of_family, named))


def _missing(view: ClaimView) -> tuple[str, ...] | Unknown:
    """Numbers of lines of the claim being replaced that this one does not repeat. A line of their day that was not there before is the
    corrected form of one of them: a replacement is how a code is corrected."""
    if view.claim.context is None or view.claim.context.history is None:
        return Unknown("history_not_supplied", "context.history")
    mine = [(line.code or line.line.revenue_code, line.line.service_from) for line in view.lines]
    left = []
    for place, entry in enumerate(replaced_lines(view)):
        if entry.status == "denied":
            continue  # what was not paid may be left out
        key = (entry.line.procedure_code or entry.line.revenue_code, entry.line.service_from)
        if key in mine:
            mine.remove(key)
        else:
            left.append((place, entry))
    found = []
    for place, entry in left:
        corrected = next((one for one in mine if one[1] == entry.line.service_from), None)
        if corrected is not None:
            mine.remove(corrected)
        else:
            found.append(str(entry.line.line_number or place + 1))
    return tuple(found)
