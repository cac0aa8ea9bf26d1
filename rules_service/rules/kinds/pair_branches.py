"""What is told of a pair of codes, in the order in which the questions are asked: the findings of `code_pair`."""

from __future__ import annotations

from rules_service.rules.kinds.base import Branch, fix

REMOVE = fix("Remove the column-two line if it was not a distinct service", "needs_documentation")


def pair_branches(same_side_denied: bool, column_one_falls: bool) -> tuple[Branch, ...]:
    """`same_side_denied`: the payer denies a pair whose lines carry the same side. `column_one_falls`: it denies column two where column one is not
    paid either, instead of perhaps."""
    pair = {"fact": "pair.question", "is": "pair"}
    earlier = {"fact": "pair.question", "is": "history"}
    in_claim = {"fact": "pair.in_history", "is": "false"}
    not_separated = {"any": [{"fact": "pair.modifier_indicator", "is": "0"}, {"fact": "pair.bypass_modifier_present", "is": "false"}]}
    column_one_denied = Branch(
        code="ncci.ptp.column_one_denied",
        title="NCCI pair whose column-one code cannot be paid",
        at="line.procedure_code",
        severity="warn",
        confidence="possible",
        when={"all": [pair, {"fact": "pair.column_one_denied", "is": "true"}, not_separated]},
        message="Line {line_number} {code} is column two of {where_one} {code_one}, which would itself be denied for another reason; the payer may deny both.",
        fixes=(fix("Remove the code that the record does not support", "needs_documentation"),),
        override_reasons=("payer_confirmed",),
    )
    return (
        Branch(
            code="mod.invalid",
            title="PTP-associated modifier on a code it is not valid on",
            at="line.modifiers",
            severity="deny_soft",
            when={"fact": "pair.question", "is": "modifier"},
            message="Line {line_number}: modifier {modifier} is not valid on {code}.",
            fixes=(fix("Replace the modifier with one the record supports and the code takes", "needs_documentation"),),
        ),
        *(() if column_one_falls else (column_one_denied,)),
        Branch(
            code="ncci.ptp.never_together",
            title="NCCI pair that no modifier separates",
            at="line.procedure_code",
            severity="deny_hard",
            when={"all": [{"fact": "pair.question", "in": ["pair", "history"]}, {"fact": "pair.modifier_indicator", "is": "0"}]},
            next_action="correct_claim",
            message="Line {line_number} {code} is column two of {where_one} {code_one}; the pair has indicator 0, so no modifier separates it.",
            fixes=(fix("Remove the column-two line", "not_fixable"),),
        ),
        Branch(
            code="ncci.ptp.prior_column_two",
            title="Column-two code was paid earlier; the code billed now includes it",
            at="line.procedure_code",
            severity="warn",
            when={
                "all": [
                    {"fact": "pair.question", "is": "prior"},
                    not_separated,
                ]
            },
            message="Line {line_number} {code} includes {code_two}, which an earlier claim was paid for on that day; the payer may reduce this line.",
            fixes=(),
        ),
        Branch(
            code="ncci.ptp.same_side",
            title="Both codes of the pair carry the same anatomic modifier",
            at="line.modifiers",
            severity="deny_soft" if same_side_denied else "warn",
            confidence="certain" if same_side_denied else "possible",
            when={
                "all": [
                    {"fact": "pair.question", "in": ["pair", "history"]},
                    {"fact": "pair.modifier_indicator", "is": "1"},
                    {"fact": "pair.same_side", "is": "true"},
                ]
            },
            bypassed=not same_side_denied,
            bypassed_by="by",
            message="Line {line_number} {code} and {where_one} {code_one} carry the same anatomic modifier; the NCCI manual calls ipsilateral use improper as a rule.",
            fixes=(REMOVE,),
            override_reasons=("distinct_service_documented",),
        ),
        Branch(
            code="ncci.ptp.bypassed",
            title="NCCI pair separated by a modifier",
            at="line.modifiers",
            severity="warn",
            confidence="possible",
            when={
                "all": [
                    {"fact": "pair.question", "in": ["pair", "history"]},
                    {"fact": "pair.modifier_indicator", "is": "1"},
                    {"fact": "pair.bypass_modifier_present", "is": "true"},
                ]
            },
            bypassed=True,
            bypassed_by="by",
            message="Line {line_number} {code} is separated from {where_one} {code_one} by modifier {modifier}: keep the documentation of a distinct service.",
            fixes=(fix("Check that the record documents the distinct service", "needs_documentation"),),
            override_reasons=("distinct_service_documented",),
        ),
        Branch(
            code="ncci.ptp",
            title="NCCI pair without a PTP-associated modifier",
            at="line.procedure_code",
            severity="deny_soft",
            when={"all": [pair, {"fact": "pair.modifier_indicator", "is": "1"}, in_claim]},
            message="Line {line_number} {code} is column two of {where_one} {code_one}; no PTP-associated modifier where the payer looks for it.{hint}",
            fixes=(REMOVE,),
            override_reasons=("distinct_service_documented", "payer_confirmed"),
        ),
        Branch(
            code="ncci.ptp.cross_claim",
            title="NCCI pair with a line of an earlier claim",
            at="line.procedure_code",
            severity="deny_soft",
            when={"all": [earlier, {"fact": "pair.in_history", "is": "true"}]},
            message="Line {line_number} {code} is column two of {code_one} on an earlier claim of the same day; no PTP-associated modifier.{hint}",
            fixes=(REMOVE,),
            override_reasons=("distinct_service_documented", "payer_confirmed"),
        ),
    )
