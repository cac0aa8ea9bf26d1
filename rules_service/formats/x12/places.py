"""Where in the file each part of a claim stands: the segment of every JSON pointer a finding may name."""

from __future__ import annotations

from collections.abc import Mapping

from rules_service.formats.x12.segments import Segment

SERVICES = frozenset({"SV1", "SV2", "SV3"})
PARTIES = {"85": "/providers/billing", "IL": "/subscriber", "PR": "/payer", "QC": "/patient"}
CLAIM_NUMBERS = {
    "G1": "prior_authorization_numbers", "9F": "referral_number", "F8": "payer_claim_control_number", "X4": "clia_number",
}  # fmt: skip
LINE_NUMBERS = {"G1": "prior_authorization_number", "9F": "referral_number", "X4": "clia_number", "F4": "referring_clia_number"}

Position = tuple[int, int]
"""Number of a segment in the file, from 1, and the byte it starts at."""


class Places:
    """Positions of the open claim and of the parties above it, as segments go by."""

    def __init__(self) -> None:
        self.party: dict[str, Position] = {}
        self.claim: dict[str, Position] = {}

    def level(self, code: str | None) -> None:
        """A new HL forgets the parties of its level and of those below."""
        kept = {"22": ("/providers",), "23": ("/providers", "/subscriber", "/payer")}.get(code or "", ())
        self.party = {pointer: at for pointer, at in self.party.items() if pointer.startswith(kept)} if kept else {}

    def of_party(self, segment: Segment) -> None:
        """A segment above any claim."""
        if segment.name == "NM1" and segment.get(1) in PARTIES:
            self.party[PARTIES[segment.get(1) or ""]] = (segment.number, segment.offset)

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
        elif segment.name == "REF" and segment.get(1) in CLAIM_NUMBERS:
            self.claim.setdefault(f"/{CLAIM_NUMBERS[segment.get(1) or '']}", at)

    def of_line(self, segment: Segment, index: int, role: str | None) -> None:
        """A segment of loop 2400."""
        at, line = (segment.number, segment.offset), f"/service_lines/{index}"
        if segment.name in SERVICES or (segment.name == "LX" and line not in self.claim):
            self.claim[line] = at
        elif segment.name == "DTP" and segment.get(1) == "472":
            self.claim[f"{line}/service_from"] = self.claim[f"{line}/service_through"] = at
        elif segment.name in ("LIN", "CTP"):
            self.claim.setdefault(f"{line}/drug", at)
        elif segment.name == "NM1" and role is not None:
            self.claim[f"{line}/providers/{role}"] = at
        elif segment.name == "REF" and segment.get(1) in LINE_NUMBERS:
            self.claim[f"{line}/{LINE_NUMBERS[segment.get(1) or '']}"] = at


def position_of(places: Mapping[str, Position], pointer: str) -> Position | None:
    """The position of a pointer, or of the nearest part above it."""
    while pointer not in places and pointer:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer)
