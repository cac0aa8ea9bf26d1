"""`Claim.supportingInfo` as the fields of a claim: HL7's categories, those of the US claim profiles, NUBC's code lists, and, for what FHIR
has no place for, our own category `urn:payer-rules:claim-field` whose code is the field's name in the canonical claim.

An entry an item points to with `informationSequence` belongs to its line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rules_service.claim.claim import Attachment, ClaimDates, Note, OccurrenceCode, OccurrenceSpan, ValueCode
from rules_service.claim.service_lines import Ambulance
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.values import Faults, clock_of, code_in, code_of, plain
from rules_service.primitives.money import Money

CLAIM_FIELD = "urn:payer-rules:claim-field"
TRANSMISSIONS = ("urn:payer-rules:attachment-transmission",)
"""System of a second coding of an attachment: how it travels (PWK02)."""
TEXT_FIELDS = frozenset({
    "assignment_code", "benefits_assigned", "release_code", "special_program_code", "ide_number", "mammography_certification", "delay_reason_code",
    "clia_number", "property_casualty_claim_number", "claim_frequency_code", "referral_number", "encounter_id", "place_of_service_code",
})  # fmt: skip
LINE_TEXT_FIELDS = frozenset({
    "clia_number", "referring_clia_number", "emergency", "epsdt", "family_planning", "line_control_number", "prior_authorization_number", "referral_number",
})  # fmt: skip
PAYER_FIELDS = frozenset({"line_of_business", "product", "state", "network_status", "msp_type_code"})
"""Of the plan, sent as `payer.NAME`."""
AMBULANCE_FIELDS = frozenset({"reason", "miles", "conditions"})
"""Of the trip, sent as `ambulance.NAME`; an entry for each of its conditions."""
MONEY_FIELDS = frozenset({"patient_paid_amount"})
LINE_MONEY_FIELDS = frozenset({"noncovered_amount", "expected_amount"})
INSTITUTIONAL = {
    "typeofbill": "type_of_bill", "admtype": "admission_type", "pointoforigin": "admission_source", "discharge-status": "patient_status", "discharge": "patient_status", "drg": "drg",
}  # fmt: skip
Draft = dict[str, Any]


def trip_of(entries: Iterable[Draft]) -> Ambulance | None:
    """What the entries of a claim or line say of an ambulance trip, together."""
    told: Draft = {}
    for entry in entries:
        found = entry.get("ambulance", {})
        conditions = (*told.get("conditions", ()), *found.get("conditions", ()))
        told |= found | {"conditions": conditions}
    return Ambulance(**told) if any(told.values()) else None


class Information:
    """What the entries say: of the claim, of its institutional part, of its dates, and of each line by entry."""

    def __init__(self, place: str, entries: tuple[r.SupportingInfo, ...], of_lines: set[int], faults: Faults) -> None:
        self._faults = faults
        self.sequences = frozenset(one.sequence for one in entries)
        self.claim: Draft = {}
        self.payer: Draft = {}
        self.institutional: Draft = {}
        self.dates: Draft = {}
        self.lines: dict[int, Draft] = {}
        self.attachments: list[tuple[int, Attachment]] = []
        self.notes: list[Note] = []
        self.condition_codes: list[str] = []
        self.missing_teeth: list[str] = []
        for number, entry in enumerate(entries):
            self._read(f"{place}.supportingInfo[{number}]", entry, entry.sequence in of_lines)

    def _read(self, where: str, entry: r.SupportingInfo, is_line: bool) -> None:
        field = next((one.code for one in entry.category.coding if one.system == CLAIM_FIELD and one.code), None)
        if field is not None:
            self._field(where, entry, field, is_line)
            return
        category = (code_of(entry.category) or "").lower()
        code = code_of(entry.code) or entry.value_string
        period = entry.timing_period or r.Period(start=entry.timing_date, end=entry.timing_date)
        if category in INSTITUTIONAL:
            self.institutional[INSTITUTIONAL[category]] = code
        elif category in ("admissionperiod", "hospitalized"):
            self._stay(where, period)
        elif category == "onset":
            self.dates["onset"] = self._faults.day(f"{where}.timing", period.start)
        elif category == "attachment":
            reference = entry.value_reference.identifier if entry.value_reference is not None else None
            number = entry.value_string or (reference.value if reference is not None else None)
            self.attachments.append(
                (
                    entry.sequence,
                    Attachment(report_type=code_of(entry.code), transmission=code_in(entry.code, TRANSMISSIONS), control_number=number),
                )
            )
        elif category == "missingtooth" and code:
            self.missing_teeth.append(code)
        elif entry.code is not None and self._listed(where, entry, period):
            pass
        elif category == "info" and entry.value_string:
            self.notes.append(Note(type="ADD", text=entry.value_string))

    def _stay(self, where: str, period: r.Period) -> None:
        self.dates["admission"] = self._faults.day(f"{where}.timingPeriod.start", period.start)
        self.dates["discharge"] = self._faults.day(f"{where}.timingPeriod.end", period.end)
        clock = clock_of(period.start)
        if self.dates["admission"] is not None:
            self.institutional["admission_at"] = f"{self.dates['admission']}T{clock}" if clock else str(self.dates["admission"])
        left = clock_of(period.end)
        if left is not None:
            self.institutional["discharge_hour"] = left[:2]

    def _listed(self, where: str, entry: r.SupportingInfo, period: r.Period) -> bool:
        """A code of one of NUBC's lists, told by the end of its system's name; whether it was one."""
        for coding in entry.code.coding if entry.code is not None else ():
            kind, code = (coding.system or "").rpartition("/")[2].lower(), coding.code
            if not code:
                continue
            if kind == "conditioncodes":
                self.condition_codes.append(code)
            elif kind == "occurrencecodes":
                day = self._faults.day(f"{where}.timing", period.start)
                self.institutional.setdefault("occurrence_codes", []).append(OccurrenceCode(code=code, date=day))
            elif kind == "occurrencespancodes":
                first, last = (self._faults.day(f"{where}.timing", one) for one in (period.start, period.end))
                self.institutional.setdefault("occurrence_spans", []).append(OccurrenceSpan(code=code, from_=first, through=last))
            elif kind == "valuecodes":
                value = entry.value_quantity.value if entry.value_quantity is not None else None
                amount = self._faults.money(f"{where}.valueQuantity", r.Money(value=value))
                self.institutional.setdefault("value_codes", []).append(ValueCode(code=code, amount=amount))
            else:
                continue
            return True
        return False

    def _field(self, where: str, entry: r.SupportingInfo, field: str, is_line: bool) -> None:
        """A field by its own name."""
        quantity = entry.value_quantity.value if entry.value_quantity is not None else None
        text = entry.value_string or code_of(entry.code) or (plain(quantity) if quantity is not None else None)
        texts, amounts = (LINE_TEXT_FIELDS, LINE_MONEY_FIELDS) if is_line else (TEXT_FIELDS, MONEY_FIELDS)
        group, _, name = field.rpartition(".")
        value: object = None
        if field in texts:
            value = text
        elif group == "ambulance" and name in AMBULANCE_FIELDS and text:
            holder = self.lines.setdefault(entry.sequence, {}) if is_line else self.claim
            told: Draft = holder.setdefault("ambulance", {})
            told[name] = (*told.get(name, ()), text) if name == "conditions" else text
            return
        elif field in amounts:
            value = self._faults.read(f"{where}.value", text, Money.parse, "an amount of dollars and cents", "Send at most two decimals.")
        elif not is_line and field == "homebound":
            value = entry.value_boolean
        elif not is_line and group == "dates" and name in ClaimDates.__struct_fields__:
            self.dates[name] = self._faults.day(f"{where}.timingDate", entry.timing_date)
            return
        elif not is_line and group == "payer" and name in PAYER_FIELDS:
            self.payer[name] = text
            return
        else:
            mend = "See docs/fhir.md for the names."
            self._faults.add("claim_field", f"{where}.category", "No field of a claim that is sent so has this name.", mend)
            return
        if is_line:
            self.lines.setdefault(entry.sequence, {})[field] = value
        else:
            self.claim[field] = value
