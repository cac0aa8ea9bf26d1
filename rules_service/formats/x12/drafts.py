"""What the 837 readers gathered, as claim structures."""

from __future__ import annotations

from datetime import date, time
from typing import Any, TypeVar

from rules_service.claim.parties import Address, ClaimStruct, LineProviders, OtherPayer, Person, Provider
from rules_service.claim.service_lines import Ambulance, Drug, DurableEquipment, PriorAdjudication, Prosthesis, ServiceLine, Tooth
from rules_service.primitives.errors import InvalidClaim, Issue

S = TypeVar("S", bound=ClaimStruct)
Draft = dict[str, Any]
"""Fields gathered so far, by our names."""


def day_of(text: str) -> date:
    """CCYYMMDD as a date; ValueError otherwise."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError("not CCYYMMDD")
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def span_of(text: str) -> tuple[date, date]:
    """CCYYMMDD-CCYYMMDD as two dates; ValueError otherwise."""
    first, _, last = text.partition("-")
    return day_of(first), day_of(last)


def number_of(text: str) -> int:
    """A whole number in plain digits; ValueError otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError("no whole number")
    return int(text)


def instant_of(text: str) -> str:
    """CCYYMMDDHHMM as local time `2026-11-20T08:00`, CCYYMMDD as the day; ValueError otherwise."""
    day, clock = day_of(text[:8]), text[8:]
    if clock and not (len(clock) == 4 and clock.isdigit()):
        raise ValueError("not CCYYMMDDHHMM")
    return f"{day}T{time(int(clock[:2]), int(clock[2:]))}"[:16] if clock else day.isoformat()


def part_of(parts: list[str], index: int) -> str | None:
    """A component, or None when it is missing or empty."""
    return parts[index] or None if index < len(parts) else None


def struct_of(kind: type[S], draft: Draft) -> S:
    """The structure of what was read. A segment out of its place may have left a field the structure does not have: it is dropped."""
    known = kind.__struct_fields__
    return kind(**{key: value for key, value in draft.items() if value is not None and key in known})


def address_of(draft: Draft) -> Address | None:
    """N3 and N4."""
    return struct_of(Address, draft["address"]) if "address" in draft else None


def provider_of(draft: Draft) -> Provider:
    """NM1, PRV and REF of a provider."""
    return struct_of(Provider, {**draft, "address": address_of(draft)})


def person_of(draft: Draft) -> Person:
    """NM1 and DMG of a person."""
    return struct_of(Person, {**draft, "address": address_of(draft)})


def ambulance_of(draft: Draft) -> Ambulance:
    """CR1, CRC and the two places."""
    places: Draft = {key: address_of(draft[key]) for key in ("pickup", "dropoff") if key in draft}
    return struct_of(Ambulance, {**draft, **places})


def other_payer_of(draft: Draft) -> OtherPayer:
    """Loop 2320."""
    known = any(value is not None for value in draft["subscriber"].values())
    subscriber = person_of(draft["subscriber"]) if known else None
    return struct_of(OtherPayer, {**draft, "subscriber": subscriber, "adjustments": tuple(draft.get("adjustments", ()))})


def line_of(draft: Draft, index: int) -> ServiceLine:
    """Loop 2400; InvalidClaim when it has no service segment."""
    known = dict(draft)
    if "providers" in known:
        known["providers"] = LineProviders(**{role: provider_of(entity) for role, entity in known["providers"].items()})
    if "drug" in known:
        known["drug"] = struct_of(Drug, known["drug"])
    if "tooth" in known:
        known["tooth"] = tuple(Tooth(**one) for one in known["tooth"])
    if "prosthesis" in known:
        known["prosthesis"] = struct_of(Prosthesis, known["prosthesis"])
    if "ambulance" in known:
        known["ambulance"] = ambulance_of(known["ambulance"])
    if "dme" in known:
        known["dme"] = struct_of(DurableEquipment, known["dme"])
    known["prior_adjudication"] = tuple(
        struct_of(PriorAdjudication, {**one, "adjustments": tuple(one.get("adjustments", ()))})
        for one in known.get("prior_adjudication", ())
    )
    if known.get("charge_amount") is None:
        raise InvalidClaim(
            "A claim of the file cannot be read",
            [Issue("x12.required", f"/service_lines/{index}", "The line has no service segment.", "Send SV1, SV2 or SV3 after LX.")],
        )
    return struct_of(ServiceLine, known)
