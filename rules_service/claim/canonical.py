"""One spelling for one claim: codes upper-case, diagnoses with their dot, amounts exact.

Every reader ends here, so that one claim in JSON, X12 and FHIR gives one equal structure, and so that what is not a
claim at all (no lines, line numbers twice) is refused in one place. Faults a payer would answer to are findings, not errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from rules_service.claim.claim import Accident, Claim, Diagnosis
from rules_service.claim.context import HistoryEntry
from rules_service.claim.service_lines import ServiceLine
from rules_service.primitives.errors import InvalidClaim, Issue

MAX_LINES = 999  # 837I allows 999, 837P and 837D 50; more is refused by the format itself
MAX_DIAGNOSES = 40  # 25 on 837I plus admitting, reason for visit and external causes
MAX_MODIFIERS = 4
MAX_POINTERS = 4
MAX_HISTORY = 5_000
MAX_HISTORY_WORK = 200_000
"""Service lines times history lines."""
FIRST_YEAR, LAST_YEAR = 1850, 2200
MAX_AUTHORIZATIONS = 500
ACCIDENTS = {"01": "OA", "02": "AA", "03": "OA", "04": "EM", "05": "OA", "06": "OA"}
"""Occurrence codes of accidents (no-fault cover 02, employment 04) as causes of CLM11."""


def dotted(code: str) -> str:
    """An ICD code upper-case with its dot after the third character (`j069` gives `J06.9`)."""
    bare = code.strip().upper().replace(".", "")
    return bare if len(bare) <= 3 else f"{bare[:3]}.{bare[3:]}"


def canonical_code(code: str) -> str:
    """A procedure, modifier, revenue or place code without outer spaces, upper-case."""
    return code.strip().upper()


def _canonical_diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    code = dotted(diagnosis.code)
    return diagnosis if code == diagnosis.code else msgspec.structs.replace(diagnosis, code=code)


def _canonical_line(line: ServiceLine) -> ServiceLine:
    changes: dict[str, object] = {}
    if line.procedure_code is not None and (code := canonical_code(line.procedure_code)) != line.procedure_code:
        changes["procedure_code"] = code
    if (modifiers := tuple(map(canonical_code, line.modifiers))) != line.modifiers:
        changes["modifiers"] = modifiers
    if line.service_through is None and line.service_from is not None:
        changes["service_through"] = line.service_from
    return msgspec.structs.replace(line, **changes) if changes else line


def canonical_claim(claim: Claim) -> Claim:
    """The claim in its one spelling; InvalidClaim lists what makes it no claim."""
    issues = list(structural_issues(claim))
    if issues:
        raise InvalidClaim("The body is not a claim", issues)
    changes: dict[str, object] = {}
    if claim.payer_responsibility is None:
        changes["payer_responsibility"] = "primary"
    lines = tuple(map(_canonical_line, claim.service_lines))
    if any(new is not old for new, old in zip(lines, claim.service_lines, strict=True)):
        changes["service_lines"] = lines
    diagnoses = tuple(map(_canonical_diagnosis, claim.diagnoses))
    if any(new is not old for new, old in zip(diagnoses, claim.diagnoses, strict=True)):
        changes["diagnoses"] = diagnoses
    if (accident := _accident_of_occurrences(claim)) != claim.accident:
        changes["accident"] = accident
    if claim.context is not None and claim.context.history:
        history = tuple(map(_canonical_history, claim.context.history))
        if any(new is not old for new, old in zip(history, claim.context.history, strict=True)):
            changes["context"] = msgspec.structs.replace(claim.context, history=history)
    return msgspec.structs.replace(claim, **changes) if changes else claim


def _accident_of_occurrences(claim: Claim) -> Accident | None:
    """The accident an institutional claim tells by occurrence codes 01 to 06 (domain.md 3.1), where nothing else says what it was."""
    told = [one for one in claim.institutional.occurrence_codes if one.code in ACCIDENTS] if claim.institutional is not None else []
    known = claim.accident or Accident()
    if not told or known.causes:
        return claim.accident
    causes = tuple(dict.fromkeys(ACCIDENTS[one.code] for one in told))
    return Accident(causes=causes, date=known.date or told[0].date, state=known.state)


def _canonical_history(entry: HistoryEntry) -> HistoryEntry:
    line = entry.line
    code = canonical_code(line.procedure_code) if line.procedure_code is not None else None
    modifiers = tuple(map(canonical_code, line.modifiers))
    if code == line.procedure_code and modifiers == line.modifiers:
        return entry
    return msgspec.structs.replace(entry, line=msgspec.structs.replace(line, procedure_code=code, modifiers=modifiers))


def structural_issues(claim: Claim) -> Iterable[Issue]:
    """What no payer would even call a claim."""
    lines = claim.service_lines
    if not lines:
        yield Issue("no_service_lines", "/service_lines", "A claim has at least one service line.", "Send the billed lines.")
    if len(lines) > MAX_LINES:
        yield Issue("too_many_lines", "/service_lines", f"A claim has at most {MAX_LINES} service lines.", "Split the claim.")
        return
    seen: set[int] = set()
    for index, line in enumerate(lines):
        where = f"/service_lines/{index}"
        if not 1 <= line.line_number <= MAX_LINES:
            yield Issue("line_number_range", f"{where}/line_number", f"Line numbers run from 1 to {MAX_LINES}.", "Number the lines from 1.")
        elif line.line_number in seen:
            yield Issue("line_number_twice", f"{where}/line_number", "Another line has this number.", "Number each line once.")
        seen.add(line.line_number)
        if len(line.modifiers) > MAX_MODIFIERS:
            yield Issue(
                "too_many_modifiers", f"{where}/modifiers", f"A line has at most {MAX_MODIFIERS} modifiers.", "Send the four that matter."
            )
        if len(line.diagnosis_pointers) > MAX_POINTERS:
            yield Issue(
                "too_many_pointers",
                f"{where}/diagnosis_pointers",
                f"A line points to at most {MAX_POINTERS} diagnoses.",
                "Send the four that matter.",
            )
        if line.unit_count is not None and line.unit_count.thousandths < 0:
            yield Issue("negative_units", f"{where}/unit_count", "Units are not negative.", "Send the units billed.")
    if len(claim.diagnoses) > MAX_DIAGNOSES:
        yield Issue(
            "too_many_diagnoses", "/diagnoses", f"A claim has at most {MAX_DIAGNOSES} diagnoses.", "Send those the claim form has room for."
        )
        return
    sequences: set[int] = set()
    for index, diagnosis in enumerate(claim.diagnoses):
        if not 1 <= diagnosis.sequence <= MAX_DIAGNOSES or diagnosis.sequence in sequences:
            yield Issue(
                "diagnosis_sequence",
                f"/diagnoses/{index}/sequence",
                "Diagnosis sequences start at 1 and each occurs once.",
                "Number the diagnoses from 1.",
            )
        sequences.add(diagnosis.sequence)
    context = claim.context
    if context is not None:
        if len(context.history or ()) > MAX_HISTORY:
            yield Issue(
                "too_much_history",
                "/context/history",
                f"History has at most {MAX_HISTORY} lines.",
                "Send the lines of the last twelve months.",
            )
        elif len(lines) * len(context.history or ()) > MAX_HISTORY_WORK:
            yield Issue(
                "too_much_history",
                "/context/history",
                f"Lines times history lines are at most {MAX_HISTORY_WORK}.",
                "Send the history of these dates.",
            )
        if len(context.authorizations or ()) > MAX_AUTHORIZATIONS:
            yield Issue(
                "too_many_authorizations",
                "/context/authorizations",
                f"At most {MAX_AUTHORIZATIONS} authorizations.",
                "Send those of this claim's dates.",
            )
    yield from _odd_dates(claim)
    if claim.received_at is not None and claim.received_at.tzinfo is None:
        yield Issue("no_offset", "/received_at", "An instant needs its offset.", "Send for instance 2026-11-23T10:00:00-05:00.")


def _is_odd(day: date | None) -> bool:
    return day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR


def _odd_dates(claim: Claim) -> Iterable[Issue]:
    """Dates so far off that deadlines and ages cannot be reckoned from them."""
    institutional, submission = claim.institutional, claim.submission
    dated: list[tuple[str, date | None]] = [
        ("/received_at", claim.received_at),
        ("/subscriber/birth_date", claim.subscriber.birth_date),
        ("/patient/birth_date", claim.patient.birth_date if claim.patient else None),
        ("/institutional/statement_from", institutional.statement_from if institutional else None),
        ("/institutional/statement_through", institutional.statement_through if institutional else None),
        ("/dates/discharge", claim.dates.discharge if claim.dates else None),
        ("/accident/date", claim.accident.date if claim.accident else None),
        ("/submission/exception/notice_date", submission.exception.notice_date if submission and submission.exception else None),
    ]
    for index, line in enumerate(claim.service_lines):
        days = (line.service_from, line.service_through, *[one.date for one in line.prior_adjudication])
        if not any(map(_is_odd, days)):
            continue  # the pointers are written only where one is needed: this is done for every line of every claim
        where = f"/service_lines/{index}"
        dated += [(f"{where}/service_from", line.service_from), (f"{where}/service_through", line.service_through)]
        dated += [(f"{where}/prior_adjudication", one.date) for one in line.prior_adjudication]
    dated += [("/other_payers", one.adjudication_date) for one in claim.other_payers]
    for one in (submission.prior or ()) if submission else ():
        dated += [("/submission/prior", one.remit_date), ("/submission/prior", one.received_at)]
    for pointer, day in dated:
        if _is_odd(day):
            yield Issue("date_range", pointer, f"Dates lie between {FIRST_YEAR} and {LAST_YEAR}.", "Correct the year.")
