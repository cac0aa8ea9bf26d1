"""A simulated 277CA (005010X214): what a payer's front door would answer to an 837, as the published rules predict it.

A payer's 277CA is proof of timely filing and this one is not, so it says of itself what it is: the test indicator in ISA15, sender and information
source named SIMULATED, no claim number of a payer. Each interchange of the file has one of its own, and in it each transaction, with the submitter and batch number it came with. Blocking findings only: a claim with one is returned (A3, A6, A7 or A8 of the crosswalk, A3:0
where the crosswalk has no front-end status, as for a denial after adjudication); one that could not be judged is only received (A1:19:PR).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules_service.claim.claim import Claim
from rules_service.claim.parties import Person, Provider
from rules_service.claim.service_lines import ServiceLine
from rules_service.formats.x12.parties import ReadClaim, Transmission
from rules_service.primitives.money import Money

SIMULATED = "SIMULATED"
SOURCE = "SIMULATED NOT A PAYER"
SUBMITTER = "SUBMITTER"
"""Who sent the file, where it does not say so."""
ACCEPTED, RECEIVED, RETURNED = "A2:20", "A1:19:PR", "A3:0"
UNKNOWN = "UNKNOWN"
"""Where the guide asks for an identifier and the claim has none."""
MAX_STATUSES = 3
"""STC01, STC10 and STC11."""
_INSIDE = ("\x1d", "\x1f", "\x1c", "\x1e")
"""Element, component, repetition and segment, until the text is whole: no value has them."""
_ELEMENT, _COMPONENT, _REPETITION, _TERMINATOR = _INSIDE
_USABLE = frozenset("*:^~|>!<&%+;=?@`{}\\")
_LINE_ENDS = frozenset("\r\n")
"""Some files end a segment with its line."""
_UNSAFE = re.compile(r"[^ -~]")
"""What is no printable ASCII."""
_PADDED = re.compile(f" +(?=[{_ELEMENT}{_COMPONENT}{_TERMINATOR}])")


@dataclass(frozen=True, slots=True)
class Answered:
    """One claim of the file as it was read, and its evaluation (None when there is none)."""

    read: ReadClaim
    evaluation: Mapping[str, Any] | None

    @property
    def claim(self) -> Claim | None:
        """The claim; None when it could not be read."""
        return self.read.outcome if isinstance(self.read.outcome, Claim) else None

    @property
    def charge(self) -> Money:
        """What it bills, as far as that could be read."""
        return self.claim.total_charge_amount if self.claim is not None else self.read.charge or Money(0)


def _text(value: str | None, longest: int = 60) -> str:
    """A value as it was sent, in printable ASCII."""
    return _UNSAFE.sub(" ", value or "")[:longest].strip()


def _segment(name: str, *elements: object) -> str:
    texts = ["" if one is None else str(one) for one in elements]
    while texts and not texts[-1]:
        texts.pop()
    return _ELEMENT.join([name, *texts]) + _TERMINATOR


def _composite(status: str) -> str:
    """Category, status and entity of the crosswalk (A7:562:DN) as a composite element."""
    return status.replace(":", _COMPONENT)


def _delimited(text: str, told: tuple[str, str, str, str]) -> bytes:
    """The text with the delimiters of the file it answers, which no value of that file has; the usual ones where those cannot be written."""
    can_be_written = _USABLE.issuperset(told[:3]) and told[3] in _USABLE | _LINE_ENDS
    chosen = told if len(set(told)) == len(told) and can_be_written else Transmission().delimiters
    bare = text.translate({ord(one): " " for one in chosen})
    head, _, rest = bare.partition(_TERMINATOR)  # the elements of ISA keep their lengths
    bare = head + _TERMINATOR + _PADDED.sub("", rest)
    return bare.translate({ord(inside): one for inside, one in zip(_INSIDE, chosen, strict=True)}).encode("ascii")


def acknowledgment(answers: Sequence[Answered], now: datetime) -> bytes:
    """An interchange for each sender of the file, one after the other, each in the delimiters of what it answers. Its instant and control number
    are those of the evaluations it tells of, so that the same evaluations give the same bytes again; `now` is for one of which no claim was
    evaluated."""
    groups = itertools.groupby(answers, key=lambda one: (one.read.transmission.sender, one.read.transmission.delimiters))
    return b"".join(_interchange(list(group), now, number) for number, (_, group) in enumerate(groups))


def _interchange(answers: Sequence[Answered], now: datetime, position: int) -> bytes:
    first = answers[0].read.transmission
    evaluations = [one.evaluation for one in answers if one.evaluation is not None]
    moment = max((datetime.fromisoformat(one["evaluated_at"]) for one in evaluations), default=now)
    named = "".join(one["evaluation_id"] for one in evaluations) or f"{now.isoformat()}/{position}"
    number = int.from_bytes(hashlib.sha256(named.encode()).digest()[:8])
    day, clock, control = moment.strftime("%Y%m%d"), moment.strftime("%H%M"), f"{number % (10**9 - 1) + 1:09d}"
    sets = ""
    batches = [list(group) for _, group in itertools.groupby(answers, key=lambda one: one.read.transmission)]
    for number, batch in enumerate(batches, 1):
        reference = f"{SIMULATED}{control}" + (f"-{number}" if number > 1 else "")
        inside = _segment("ST", "277", f"{number:04d}", "005010X214") + _segment("BHT", "0085", "08", reference, day, clock, "TH")
        inside += _Body(batch, day).text()
        sets += inside + _segment("SE", inside.count(_TERMINATOR) + 1, f"{number:04d}")
    receiver = _text(first.sender, 15) or SUBMITTER
    empty = " " * 10
    head = _segment(
        "ISA", "00", empty, "00", empty, "ZZ", f"{SIMULATED:<15}", "ZZ", f"{receiver:<15}", day[2:], clock, _REPETITION, "00501", control, "0", "T", _COMPONENT
    )  # fmt: skip
    group = _segment("GS", "HN", SIMULATED, receiver, day, clock, int(control), "X", "005010X214")
    tail = _segment("GE", len(batches), int(control)) + _segment("IEA", 1, control)
    return _delimited(head + group + sets + tail, first.delimiters)


class _Body:
    """The hierarchy of one transaction: source, receiver, each billing provider, each patient under it."""

    def __init__(self, answers: Sequence[Answered], day: str) -> None:
        self._day = day
        self._batch = answers[0].read.transmission
        self._levels = 0
        self._by_provider: dict[tuple[str | None, ...], list[Answered]] = {}
        provider: tuple[str | None, ...] = ()
        for one in answers:
            if one.claim is not None:  # one that could not be read stands under the provider of the claim before it
                billing = one.claim.providers.billing
                provider = (billing.npi,) if billing.npi else (None, billing.tax_id, billing.last_or_organization_name)
            self._by_provider.setdefault(provider, []).append(one)

    def text(self) -> str:
        """From the first HL to the last line."""
        everything = [one for answers in self._by_provider.values() for one in answers]
        text = self._level(None, "20", True) + _segment("NM1", "PR", "2", SOURCE, None, None, None, None, "PI", SIMULATED)
        text += _segment("TRN", "1", SIMULATED) + _segment("DTP", "050", "D8", self._day) + _segment("DTP", "009", "D8", self._day)
        text += self._level(1, "21", True) + _segment(
            "NM1", "41", "2", _text(self._batch.submitter_name) or SUBMITTER, None, None, None, None, "46", _text(self._batch.submitter_id, 80) or SUBMITTER
        )  # fmt: skip
        text += (
            _segment("TRN", "2", _text(self._batch.reference, 50) or SIMULATED)
            + _segment("STC", _composite(RECEIVED), self._day, "WQ", _total(everything))
            + _totals(everything, "90", "AA")
        )
        receiver = self._levels
        for answers in self._by_provider.values():
            text += self._provider(receiver, answers)
        return text

    def _level(self, parent: int | None, code: str, has_children: bool) -> str:
        self._levels += 1
        return _segment("HL", self._levels, parent, code, None if code == "PT" else int(has_children))

    def _provider(self, receiver: int, answers: Sequence[Answered]) -> str:
        claim = next((one.claim for one in answers if one.claim is not None), None)
        billing = claim.providers.billing if claim is not None else Provider()
        text = self._level(receiver, "19", True)
        name = _text(billing.last_or_organization_name) or "BILLING PROVIDER"
        qualifier, identifier = ("FI", billing.tax_id) if not billing.npi and billing.tax_id else ("XX", billing.npi)
        text += _segment(
            "NM1", "85", "1" if billing.entity_type == "1" else "2", name, _text(billing.first_name, 35), None, None, None, qualifier, _text(identifier, 80) or UNKNOWN
        )  # fmt: skip
        action = "U" if all(map(_is_returned, answers)) else "WQ"
        text += (
            _segment("TRN", "1", "0") + _segment("STC", _composite(RECEIVED), None, action, _total(answers)) + _totals(answers, "QA", "QC")
        )
        level = self._levels
        for one in answers:
            text += self._patient(level, one)
        return text

    def _patient(self, level: int, one: Answered) -> str:
        text = self._level(level, "PT", False)
        claim = one.claim
        person = (claim.patient or claim.subscriber) if claim is not None else Person()
        member = _text(claim.subscriber.member_id, 80) if claim is not None else ""
        name = _text(person.last_name) or UNKNOWN
        text += _segment("NM1", "QC", "1", name, _text(person.first_name, 35), None, None, None, "MI", member or UNKNOWN)
        number = _text(one.read.patient_control_number, 50)
        text += _segment("TRN", "2", number or f"SEGMENT {one.read.segment}")
        statuses, action = _claim_statuses(one), "U" if _is_returned(one) else "WQ"
        text += _segment("STC", statuses[0], self._day, action, one.charge, *[None] * 5, *statuses[1:MAX_STATUSES])
        # The guide asks for a service date: that of the answer where the claim has none that could be read.
        if claim is None:
            return text + (_dates(*one.read.days) if one.read.days else _segment("DTP", "472", "D8", self._day))
        text += _days(claim) or _segment("DTP", "472", "D8", self._day)
        for line in claim.service_lines:
            found = _line_statuses(one, line)
            if found:
                text += _line(claim, line) + _segment("STC", found[0], self._day, "U", *[None] * 6, *found[1:MAX_STATUSES])
                text += _segment("REF", "FJ", _text(line.line_control_number, 50) or line.line_number)
                if line.service_from is not None:
                    text += _dates(line.service_from, line.service_through)
        return text


def _blocking(one: Answered) -> list[Mapping[str, Any]]:
    """The findings that hold the claim, the ones others follow from first."""
    found = [finding for finding in (one.evaluation or {}).get("findings", ()) if finding["blocking"] and finding["waiver"] is None]
    return sorted(found, key=lambda finding: finding["suppressed_by"] is not None)


def _is_returned(one: Answered) -> bool:
    return one.evaluation is None or bool(_blocking(one))


def _statuses(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Category, status and entity of each, once, those that have a front-end status first."""
    told = [(finding["predicted_denial"] or {}).get("claim_status") or RETURNED for finding in findings]
    return [_composite(status) for status in sorted(dict.fromkeys(told), key=lambda status: status == RETURNED)]


def _claim_statuses(one: Answered) -> list[str]:
    if one.evaluation is None:
        return [_composite(RETURNED)]
    found = _statuses(_blocking(one))
    return found or [_composite(RECEIVED if one.evaluation["outcome"] in ("not_covered", "incomplete") else ACCEPTED)]


def _line_statuses(one: Answered, line: ServiceLine) -> list[str]:
    return _statuses([finding for finding in _blocking(one) if line.line_number in finding["line_numbers"]])


def _total(answers: Sequence[Answered]) -> str:
    cents = sum(one.charge.cents for one in answers)
    return f"{cents / 100:.2f}"


def _totals(answers: Sequence[Answered], accepted: str, returned: str) -> str:
    """QTY and AMT of what is taken and what is returned."""
    taken, back = [one for one in answers if not _is_returned(one)], [one for one in answers if _is_returned(one)]
    text = _segment("QTY", accepted, len(taken)) if taken else ""
    text += _segment("QTY", returned, len(back)) if back else ""
    text += _segment("AMT", "YU", _total(taken)) if taken else ""
    return text + (_segment("AMT", "YY", _total(back)) if back else "")


def _dates(first: Any, last: Any) -> str:
    if last in (None, first):
        return _segment("DTP", "472", "D8", f"{first:%Y%m%d}")
    return _segment("DTP", "472", "RD8", f"{first:%Y%m%d}-{last:%Y%m%d}")


def _days(claim: Claim) -> str:
    """The claim's service dates: the statement, or from the first line to the last."""
    stay = claim.institutional
    days = [day for line in claim.service_lines for day in (line.service_from, line.service_through) if day is not None]
    if stay is not None and stay.statement_from is not None:
        return _dates(stay.statement_from, stay.statement_through)
    return _dates(min(days), max(days)) if days else ""


def _line(claim: Claim, line: ServiceLine) -> str:
    """SVC: the line as billed."""
    code = _text(line.procedure_code, 48)
    kind = "AD" if claim.claim_type == "dental" else "HC"
    procedure = (
        _COMPONENT.join([kind, code, *(_text(one, 2) for one in line.modifiers)])
        if code
        else f"NU{_COMPONENT}{_text(line.revenue_code, 48)}"
    )
    revenue = _text(line.revenue_code, 48) if code else None
    return _segment("SVC", procedure, line.charge_amount, None, revenue, None, None, line.unit_count)
