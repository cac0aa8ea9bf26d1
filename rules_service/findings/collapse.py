"""One cause, one lead finding: what follows from a fault that is told already is linked to it, not told as if it were another.

A diagnosis that is not valid makes every edit on that diagnosis moot; a line billed twice exceeds unit limits because of it. The dependent
findings stay in the answer, with `suppressed_by`; the lead names them in `suppresses`. They hold the claim, and put money at risk, only where their lead does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from rules_service.findings.finding import DENYING, Finding


@dataclass(frozen=True, slots=True)
class Root:
    """Finding codes that are a root (none named: whatever denies), the codes (or beginnings of codes) that follow from them, and what both must share."""

    leads: tuple[str, ...]
    follows: tuple[str, ...]
    share: Literal["line", "all but a line", "related line", "diagnosis", "place", "claim"]


CODING = (
    "ncci.",
    "mue.",
    "aoc.",
    "global.",
    "visit.",
    "status.",
    "component.",
    "bilateral.",
    "assistant.",
    "co_surgeon.",
    "team.",
    "mod.",
    "anes.",
)
COVERAGE = ("auth.", "referral.", "necessity.", "freq.", "benefit.", "doc.", "telehealth.", "age.proc", "sex.proc")
ROOTS: tuple[Root, ...] = (
    Root(("corr.freq_not_allowed", "corr.use_reopening"), ("corr.",), "claim"),
    Root(("cob.out_of_balance",), ("cob.claim_out_of_balance",), "claim"),
    Root(("cob.primary_count",), ("cob.no_primary_info", "cob.msp_type_missing"), "claim"),
    Root(("fmt.member_id", "fmt.member_id_missing"), ("elig.", "wrong.payer"), "claim"),
    Root(("date.missing",), ("date.span", "tf."), "line"),
    Root(
        ("dx.invalid_dos", "dx.unspecified_length", "dx.not_icd10cm"),
        (
            "dx.excludes1",
            "dx.first_listed",
            "dx.manifestation",
            "dx.laterality",
            "dx.present_on_admission",
            "age.dx",
            "sex.dx",
            "necessity.",
        ),
        "diagnosis",
    ),
    Root(("fmt.dob_future",), ("fmt.dob_after_service", "age."), "claim"),
    Root(("cob.medicaid_first",), ("cob.msp_",), "claim"),
    Root(("dx.missing",), ("dx.pointer",), "claim"),
    Root(("fmt.npi_checksum",), ("prov.orderer_not_enrolled", "prov.orderer_name", "prov.credential"), "place"),
    Root(("fmt.same_person_twice",), ("elig.medicare_dependent",), "claim"),
    Root(("pos.invalid",), ("pos.mismatch", "telehealth.place"), "line"),
    Root(("dx.first_listed",), ("dx.manifestation",), "diagnosis"),
    Root(("dx.pointer",), ("necessity.", "dx.laterality"), "line"),
    Root(("proc.invalid_dos", "proc.missing"), (*CODING, *COVERAGE, "pos.mismatch"), "line"),
    Root(("dup.line",), ("mue.",), "all but a line"),
    Root(("dup.exact", "dup.line"), ("dup.suspect", "dup.denied_before", "mue.", "freq.", "ncci.", "global.", "visit."), "line"),
    Root(("wrong.payer",), ("elig.", "auth.", "referral.", "benefit.", "freq.", "mue.", "cob.other_coverage"), "line"),
    Root(("elig.before", "elig.after", "elig.inactive"), ("auth.", "referral.", "benefit.", "freq.", "elig.grace_period"), "line"),
    Root(("necessity.no_notice",), ("status.", "necessity.", "auth.", "freq.", "referral.", "mue."), "line"),
    Root(("proc.clinic_visit",), ("status.", "mue."), "line"),
    Root(
        (
            "status.not_covered",
            "status.patient_liable",
            "status.not_valid",
            "status.bundled",
            "status.inpatient_only",
            "status.not_recognized",
            "benefit.excluded",
        ),
        ("auth.", "necessity.", "freq.", "referral.", "mue."),
        "line",
    ),
    Root(("mod.invalid_dos",), ("mod.invalid", "mod.forbidden"), "line"),
    Root(("ncci.ptp.never_together",), ("global.",), "line"),
    Root(("ncci.ptp", "ncci.ptp.never_together", "mue.mai1", "mue.mai2", "mue.mai3"), ("freq.period",), "line"),
    Root(("ncci.ptp",), ("global.visit_same_day", "global.visit_before"), "line"),
    Root(("global.visit_same_day", "global.visit_before"), ("ncci.ptp.bypassed",), "line"),
    Root(("aoc.modifier",), ("mod.forbidden", "bilateral."), "line"),
    Root(("units.missing",), ("anes.time_range",), "line"),
    Root(("bilateral.units",), ("mue.",), "line"),
    Root(("inst.statement_dates",), ("inst.line_outside_statement",), "claim"),
    Root(("bilateral.not_applicable", "bilateral.surgical_center"), ("bilateral.",), "line"),
    Root((), ("aoc.primary_denied",), "related line"),
)
"""In order: a finding that follows from an earlier root is no root itself."""


def collapse(found: Sequence[tuple[Finding, frozenset[str]]]) -> tuple[Finding, ...]:
    """The findings, numbered already, with leads and dependents linked. Beside each stand the causes the rule named for it."""
    lead_of: dict[int, int] = {}
    for root in _roots_among(found):
        leads = [at for at, (one, _) in enumerate(found) if at not in lead_of and _leads(root, one)]
        if not leads:
            continue
        near = _Near(root.share, leads, found)
        are_leads = set(leads)
        for at, (one, causes) in enumerate(found):
            if at in lead_of or at in are_leads or not one.code.startswith(root.follows):
                continue
            lead = next((lead for lead in near.to(one) if _shares(root.share, found[lead], one, causes)), None)
            if lead is not None:
                lead_of[at] = lead
    if not lead_of:
        return tuple(one for one, _ in found)
    ids = [one.finding_id for one, _ in found]
    suppresses: dict[int, list[str]] = {}
    for at, lead in sorted(lead_of.items()):
        suppresses.setdefault(lead, []).append(ids[at])
    return tuple(
        msgspec.structs.replace(
            one,
            suppressed_by=ids[lead_of[at]] if at in lead_of else None,
            blocking=one.blocking and (at not in lead_of or found[lead_of[at]][0].blocking),
            suppresses=tuple(suppresses.get(at, ())),
        )
        for at, (one, _) in enumerate(found)
    )


def _roots_among(found: Sequence[tuple[Finding, frozenset[str]]]) -> list[Root]:
    """The roots that have a code to lead and a code to follow among the findings, in order: hardly any of a claim's."""
    leading: set[int] = set()
    following: set[int] = set()
    for one, _ in found:
        leads, follows = _places_of(one.code)
        leading |= leads
        following |= follows
    return [ROOTS[at] for at in sorted(leading & following)]


@functools.lru_cache(maxsize=4_096)
def _places_of(code: str) -> tuple[frozenset[int], frozenset[int]]:
    """Places in ROOTS that a finding code can lead, and those it can follow from."""
    leads = frozenset([at for at, root in enumerate(ROOTS) if not root.leads or code in root.leads])
    return leads, frozenset([at for at, root in enumerate(ROOTS) if code.startswith(root.follows)])


class _Near:
    """The leads that can share what a root asks for with a finding: found by line, for a claim of a thousand lines has thousands of findings."""

    __slots__ = ("_by_line", "_leads", "_of_no_line", "_share")

    def __init__(self, share: str, leads: list[int], found: Sequence[tuple[Finding, frozenset[str]]]) -> None:
        self._share = share
        self._leads = leads
        self._of_no_line: list[int] = []
        self._by_line: dict[int, list[int]] = {}
        for lead in leads:
            lines = found[lead][0].line_numbers
            if not lines:
                self._of_no_line.append(lead)
            for line in lines:
                self._by_line.setdefault(line, []).append(lead)

    def to(self, one: Finding) -> list[int]:
        """Those leads, in their order."""
        if self._share == "line":
            shared = one.line_numbers[:1]
        elif self._share == "related line":
            shared = one.related_line_numbers
        else:
            return self._leads
        return sorted({*self._of_no_line, *(lead for line in shared for lead in self._by_line.get(line, ()))})


def _leads(root: Root, one: Finding) -> bool:
    if root.leads:
        return one.code in root.leads
    return one.severity in DENYING and not one.code.startswith(root.follows)


def _shares(share: str, lead: tuple[Finding, frozenset[str]], one: Finding, causes: frozenset[str]) -> bool:
    if share == "claim":
        return True
    if share == "place":
        return lead[0].location.json_pointer == one.location.json_pointer
    if share == "diagnosis":
        return bool(lead[1] & causes)
    if share == "related line":
        return bool(set(one.related_line_numbers) & set(lead[0].line_numbers))
    if share == "all but a line":  # without the lines of the lead one is left
        return len(set(one.line_numbers) - set(lead[0].line_numbers)) <= 1
    return not lead[0].line_numbers or (bool(one.line_numbers) and set(one.line_numbers) <= set(lead[0].line_numbers))
