"""What is told of an authorization, link by link in the order of the chain: the findings of `authorization_requirement` (domain.md 2.10)."""

from __future__ import annotations

from typing import Any

from rules_service.rules.kinds.authorization_records import APPROVED
from rules_service.rules.kinds.base import Branch, fix


def authorization_branches() -> tuple[Branch, ...]:
    """Of the links, the first that fails leads."""

    def link(fact: str, value: str = "false") -> dict[str, object]:
        return {"all": [*needed, number_given, {"fact": f"authorization.{fact}", "is": value}]}

    requirement = {"fact": "authorization.requirement", "is": "required"}
    checked = {"fact": "authorization.requirement", "in": ["required", "voluntary"]}
    number_given = {"fact": "authorization.number_present", "is": "true"}
    not_exempt = {"fact": "authorization.exemption", "present": "false"}
    needed: list[object] = [requirement, not_exempt]
    absent = {"fact": "authorization.number_present", "is": "false"}
    obtain = fix("Obtain the authorization (retroactive where the payer allows it) and send its number in REF*G1", "needs_payer_contact")
    ask = fix("Ask the payer to extend or correct the authorization", "needs_payer_contact")
    check = fix("Check the authorization number against the payer's approval")
    where = "line.prior_authorization_number"
    common: dict[str, Any] = {
        "category": "authorization",
        "owner_role": "authorization_specialist",
        "next_action": "contact_payer",
        "override_reasons": ("authorization_on_file", "payer_confirmed"),
    }
    line = "Line {line_number} {code}: "
    return (
        Branch(
            code="auth.not_required",
            title="No authorization needed",
            when={"any": [{"fact": "authorization.requirement", "in": ["not_required", "suspended"]}]},
            category="authorization",
        ),
        Branch(
            code="auth.exempt",
            title="Exempt from authorization",
            when={
                "all": [
                    {"fact": "authorization.requirement", "in": ["required", "voluntary", "notification"]},
                    {"fact": "authorization.exemption", "present": "true"},
                ]
            },
            bypassed=True,
            bypassed_by="exemption",
            category="authorization",
        ),
        Branch(
            code="auth.voluntary_review",
            title="Without authorization the claim goes to prepayment review",
            at=where,
            severity="pend",
            when={
                "all": [
                    {"fact": "authorization.requirement", "is": "voluntary"},
                    {"any": [absent, {"fact": "authorization.holds", "is": "false"}]},
                ]
            },
            message=line + "no authorization that holds; the payer suspends the claim for prepayment medical review and asks for records.",
            fixes=(fix("Obtain the voluntary authorization, or have the records ready", "needs_documentation"),),
            **common,
        ),
        Branch(
            code="auth.notification",
            title="The payer wants to be notified",
            at=where,
            severity="warn",
            when={"all": [{"fact": "authorization.requirement", "is": "notification"}, absent]},
            message=line + "the payer requires notification of this service.",
            fixes=(fix("Notify the payer and keep the reference", "needs_payer_contact"),),
            **common,
        ),
        Branch(
            code="auth.referral_number_used",
            title="A referral number stands where an authorization is required",
            at="claim.referral_number",
            severity="deny_soft",
            when={"all": [*needed, absent, {"fact": "authorization.referral_given", "is": "true"}]},
            message=line + "authorization is required; only a referral number (REF*9F) was sent.",
            fixes=(
                fix("If the number is the authorization, move it from REF*9F to REF*G1"),
                obtain,
            ),
            **common,
        ),
        Branch(
            code="auth.missing",
            title="Required prior authorization is missing",
            at=where,
            severity="deny_soft",
            when={"all": [*needed, absent]},
            message=line + "the payer requires prior authorization on this date; none was sent.",
            fixes=(obtain,),
            **common,
        ),
        Branch(
            code="auth.format",
            title="Authorization number not in the payer's form",
            at=where,
            severity="deny_soft",
            when=link("format_valid"),
            message=line + "the authorization number does not have the form this payer uses.",
            fixes=(check,),
            **common,
        ),
        Branch(
            code="auth.not_on_file",
            title="Authorization number not among the recorded authorizations",
            at=where,
            severity="deny_soft",
            confidence="likely",
            when=link("on_file"),
            message=line + "the authorization number is not among the authorizations supplied.",
            fixes=(check, obtain),
            **common,
        ),
        Branch(
            code="auth.expired",
            title="The authorization's time limit has passed",
            at=where,
            severity="deny_soft",
            when={"all": [*needed, {"fact": "authorization.status", "is": "expired"}]},
            message=line + "the authorization on file has expired.",
            fixes=(ask,),
            **common,
        ),
        Branch(
            code="auth.denied",
            title="The authorization was denied",
            at=where,
            severity="deny_soft",
            when={"all": [*needed, {"fact": "authorization.status", "in": ["denied", "cancelled", "voided"]}]},
            message=line + "the authorization on file was not approved.",
            fixes=(fix("Appeal the authorization decision or obtain a new one", "needs_payer_contact"),),
            **common,
        ),
        Branch(
            code="auth.pended",
            title="The authorization is not decided yet",
            at=where,
            severity="warn",
            when={"all": [*needed, {"fact": "authorization.status", "not_in": list(APPROVED)}]},
            message=line + "the authorization on file is not approved yet.",
            fixes=(fix("Hold the claim until the payer decides", "needs_payer_contact"),),
            **common,
        ),
        Branch(
            code="auth.member_mismatch",
            title="Authorization of another member or payer",
            at=where,
            severity="deny_soft",
            when=link("member_matches"),
            message=line + "the authorization was given for another member or payer.",
            fixes=(check,),
            **common,
        ),
        Branch(
            code="auth.provider_mismatch",
            title="Authorization does not cover the provider",
            at=where,
            severity="deny_soft",
            when=link("provider_matches"),
            message=line + "the authorization names other providers than those billing and rendering.",
            fixes=(ask,),
            **common,
        ),
        Branch(
            code="auth.code_mismatch",
            title="Authorization does not cover the code",
            at=where,
            severity="deny_soft",
            when=link("code_matches"),
            message=line + "the authorization does not cover this code or its family.",
            fixes=(check, ask),
            **common,
        ),
        Branch(
            code="auth.span",
            title="Service outside the authorized dates",
            at=where,
            severity="deny_soft",
            when=link("days_in_span"),
            message=line + "the date of service lies outside the authorized span.",
            fixes=(ask,),
            **common,
        ),
        Branch(
            code="auth.exceeded",
            title="More units than authorized",
            at=where,
            severity="deny_soft",
            when={"all": [*needed, {"fact": "authorization.units_over", "more_than": "0"}]},
            message=line + "{over} units more than the authorization has left.",
            fixes=(ask,),
            **common,
        ),
        Branch(
            code="auth.level_of_care",
            title="Authorized for another level of care",
            at=where,
            severity="deny_soft",
            when=link("level_matches"),
            message=line + "the authorization is for another level of care.",
            fixes=(ask,),
            **common,
        ),
        Branch(
            code="auth.not_verifiable",
            title="Authorization number could not be checked",
            at=where,
            severity="warn",
            confidence="possible",
            when={"all": [checked, not_exempt, number_given, {"fact": "authorization.verifiable", "is": "false"}]},
            message=line + "an authorization number was sent; no authorization record was supplied to check it against.",
            fixes=(fix("Supply the authorization in context.authorizations, or check it with the payer"),),
            **common,
        ),
    )
