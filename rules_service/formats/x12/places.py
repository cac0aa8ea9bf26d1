"""Where in the file each part of a claim stands: the segment of every JSON pointer a finding may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rules_service.formats.x12.segments import Segment

SERVICES = frozenset({"SV1", "SV2", "SV3"})
PARTIES = {"85": "/providers/billing", "IL": "/subscriber", "PR": "/payer", "QC": "/patient"}
CLAIM_NUMBERS = {
    "G1": "prior_authorization_numbers", "9F": "referral_number", "F8": "payer_claim_control_number", "X4": "clia_number",
}  # fmt: skip
CLAIM_DATES = {
    "434": ("institutional/statement_from", "institutional/statement_through"), "435": ("institutional/admission_at",), "096": ("institutional/discharge_hour",), "439": ("accident/date",),
}  # fmt: skip
CLAIM_SEGMENTS = {
    "CL1": ("institutional/admission_type", "institutional/admission_source", "institutional/patient_status"), "PWK": ("attachments",), "NTE": ("notes",), "CRC": ("ambulance", "epsdt"), "CR1": ("ambulance",),
}  # fmt: skip
PARTY_SEGMENTS = {"N3": ("address",), "N4": ("address",), "DMG": ("birth_date", "sex")}
OTHER_PAYER_SEGMENTS = {
    "AMT*D": ("paid_amount",),
    "AMT*A8": ("noncovered_amount",),
    "AMT*EAF": ("remaining_liability_amount",),
    "OI": ("benefits_assigned", "release_code"),
    "CAS": ("adjustments",),
    "DTP": ("adjudication_date",),
    "MOA": ("remarks",),
    "MIA": ("remarks",),
}
LINE_NUMBERS = {"G1": "prior_authorization_number", "9F": "referral_number", "X4": "clia_number", "F4": "referring_clia_number"}

Position = tuple[int, int]
"""Number of a segment in the file, from 1, and the byte it starts at."""


class Places:
    """Positions of the open claim and of the parties above it, as segments go by."""

    def __init__(self) -> None:
        self.party: dict[str, Position] = {}
        self.claim: dict[str, Position] = {}
        self._open: str | None = None
        self._person = "/subscriber"

    def level(self, code: str | None) -> None:
        """A new HL forgets the parties of its level and of those below."""
        kept = {"22": ("/providers",), "23": ("/providers", "/subscriber", "/payer")}.get(code or "", ())
        self.party = {pointer: at for pointer, at in self.party.items() if pointer.startswith(kept)} if kept else {}
        self._open, self._person = None, "/patient" if code == "23" else "/subscriber"

    def of_party(self, segment: Segment) -> None:
        """A segment above any claim."""
        at, name, code = (segment.number, segment.offset), segment.name, segment.get(1) or ""
        if name == "NM1":
            self._open = PARTIES.get(code)
            if self._open is not None:
                self.party[self._open] = at
        elif name == "PRV" and code == "BI":
            self.party["/providers/billing/taxonomy_code"] = at
        elif name == "SBR":
            for pointer in (
                "/subscriber/relationship_code",
                "/payer/group_number",
                "/payer/msp_type_code",
                "/payer/claim_filing_indicator_code",
            ):
                self.party[pointer] = at
            self.party["/payer_responsibility"] = at
        elif name == "PAT":
            self.party[f"{self._person}/death_date"] = self.party[f"{self._person}/relationship_code"] = at
        elif name == "REF" and code == "Y4":
            self.party["/property_casualty_claim_number"] = at
        elif self._open is not None:
            fields = ("tax_id",) if name == "REF" and code in ("EI", "SY") else PARTY_SEGMENTS.get(name, ())
            for field in fields:
                self.party.setdefault(f"{self._open}/{field}", at)

    def of_claim(self, segment: Segment, diagnoses: range, others: int, role: str | None) -> None:
        """A segment of loop 2300 or of another payer; `diagnoses` are those it added, `role` that of the provider it names."""
        at = (segment.number, segment.offset)
        if segment.name == "CLM":
            self.claim = {"": at}
        elif segment.name == "HI":
            self.claim |= {f"/diagnoses/{index}": at for index in diagnoses}
        elif segment.name == "NM1" and role is not None:
            self.claim[f"/providers/{role}"] = at
        elif segment.name == "SBR":
            self.claim[f"/other_payers/{others - 1}"] = at
        elif others:  # what follows is another payer's, until the first line
            name = f"AMT*{segment.get(1)}" if segment.name == "AMT" else segment.name
            for field in OTHER_PAYER_SEGMENTS.get(name, ()):
                self.claim.setdefault(f"/other_payers/{others - 1}/{field}", at)
        elif segment.name == "REF" and segment.get(1) in CLAIM_NUMBERS:
            self.claim.setdefault(f"/{CLAIM_NUMBERS[segment.get(1) or '']}", at)
        else:
            fields = CLAIM_DATES.get(segment.get(1) or "", ()) if segment.name == "DTP" else CLAIM_SEGMENTS.get(segment.name, ())
            for field in fields:
                self.claim.setdefault(f"/{field}", at)

    def of_line(self, segment: Segment, index: int, role: str | None) -> None:
        """A segment of loop 2400."""
        at, line = (segment.number, segment.offset), f"/service_lines/{index}"
        if segment.name in SERVICES or (segment.name == "LX" and line not in self.claim):
            self.claim[line] = at
        elif segment.name == "DTP" and segment.get(1) == "472":
            self.claim[f"{line}/service_from"] = self.claim[f"{line}/service_through"] = at
        elif segment.name in ("CR1", "CRC"):
            self.claim.setdefault(f"{line}/ambulance", at)
        elif segment.name == "LIN":
            self.claim[f"{line}/drug"] = at
        elif segment.name == "CTP":
            self.claim[f"{line}/drug/quantity"] = self.claim[f"{line}/drug/unit"] = at
        elif segment.name == "SVD":
            self.claim.setdefault(f"{line}/prior_adjudication", at)
        elif segment.name == "NM1" and role is not None:
            self.claim[f"{line}/providers/{role}"] = at
        elif segment.name == "REF" and segment.get(1) in LINE_NUMBERS:
            self.claim[f"{line}/{LINE_NUMBERS[segment.get(1) or '']}"] = at


def position_of(places: Mapping[str, Position], pointer: str) -> Position | None:
    """The position of a pointer, or of the nearest part above it."""
    while pointer not in places and pointer:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer)


class _At(msgspec.Struct):
    json_pointer: str


class _Finding(msgspec.Struct):
    finding_id: str
    location: _At


class _Evaluation(msgspec.Struct):
    findings: list[_Finding]


_evaluations = msgspec.json.Decoder(_Evaluation)


def pointers_in(evaluation: bytes) -> Iterator[tuple[str, str]]:
    """Id and JSON pointer of each finding of an evaluation as it is stored."""
    return ((one.finding_id, one.location.json_pointer) for one in _evaluations.decode(evaluation).findings)


def finding_places(places: Mapping[str, Position], pointers: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Of each finding, by its id, the segment and byte its JSON pointer leads to; those without one are left out."""
    found = ((finding_id, position_of(places, pointer)) for finding_id, pointer in pointers)
    return {finding_id: {"segment": at[0], "byte": at[1]} for finding_id, at in found if at is not None}
