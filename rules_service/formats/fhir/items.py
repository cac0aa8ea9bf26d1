"""`Claim.item` as service lines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rules_service.claim.claim import ClaimType
from rules_service.claim.parties import LineProviders, Provider
from rules_service.claim.service_lines import Drug, PriorAdjudication, ServiceLine, Tooth, UnitBasis
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.information import Information, trip_of
from rules_service.formats.fhir.values import MODIFIERS, NDC, PROCEDURES, Faults, code_in, code_of, is_reasonable
from rules_service.primitives.money import Money, Quantity

BASES: dict[str, UnitBasis] = {"min": "MJ", "mj": "MJ", "da": "DA", "d": "DA", "f2": "F2"}
"""Units of measure (UCUM or X12) that are not plain units."""
MEASURES = frozenset({"g", "kg", "l", "mcg", "meq", "mg", "ml", "ug", "[iu]", "iu", "s", "h", "hr", "wk", "mo"})
"""UCUM of mass, volume, activity and time: what was given, or how long, not how often it was billed."""


class Items:
    """Reads lines; knows what of the claim belongs to them."""

    def __init__(
        self,
        place: str,
        claim: r.Claim,
        information: Information,
        team: dict[int, tuple[str, Provider]],
        claim_type: ClaimType,
        faults: Faults,
    ) -> None:
        self._place, self._claim, self._information, self._team, self._faults = place, claim, information, team, faults
        self._is_dental, self._is_institutional = claim_type == "dental", claim_type == "institutional"

    def lines(self, adjudicated: dict[int, list[PriorAdjudication]], claim_place: str | None) -> tuple[ServiceLine, ...]:
        """Every line; the place of service only where it differs from the claim's."""
        return tuple(
            self._line(f"{self._place}.item[{number}]", item, tuple(adjudicated.get(item.sequence, ())), claim_place)
            for number, item in enumerate(self._claim.item)
        )

    def _line(self, where: str, item: r.Item, adjudicated: tuple[PriorAdjudication, ...], claim_place: str | None) -> ServiceLine:
        first, last = self._days(where, item)
        place = code_of(item.location_codeable_concept)
        self._whole(where, item)
        providers = {
            role: provider for number in item.care_team_sequence if number in self._team for role, provider in (self._team[number],)
        }
        more: dict[str, Any] = {}
        entries = [self._information.lines.get(number, {}) for number in item.information_sequence]
        for entry in entries:
            more |= entry
        more["ambulance"] = trip_of(entries)
        return ServiceLine(
            line_number=item.sequence, charge_amount=self._charge(where, item), procedure_code=code_of(item.product_or_service, PROCEDURES),
            description=item.product_or_service.text, modifiers=self._modifiers(where, item), revenue_code=code_of(item.revenue),
            unit_basis=self._basis(item),
            unit_count=self._units(where, item),
            service_from=first, service_through=last, place_of_service_code=None if place == claim_place else place,
            diagnosis_pointers=item.diagnosis_sequence, providers=LineProviders(**providers) if providers else None, drug=self._drug(where, item),
            tooth=self._teeth(item), prior_adjudication=adjudicated, **more,
        )  # fmt: skip

    def _whole(self, where: str, item: r.Item) -> None:
        """Faults where a part of the item would be left out in silence."""
        if item.serviced_date is not None and item.serviced_period is not None:
            self._faults.add("value", f"{where}.servicedPeriod", "The item has a day and a period.", "Send one of serviced[x].")
        for name, numbers, known in (
            ("careTeamSequence", item.care_team_sequence, {one.sequence for one in self._claim.care_team}),
            ("informationSequence", item.information_sequence, self._information.sequences),
        ):
            for number, sequence in enumerate(numbers):
                if sequence not in known:
                    mend = "Name the sequence of an entry of the claim."
                    self._faults.add("reference", f"{where}.{name}[{number}]", "No entry of the claim has this sequence.", mend)
        for number, detail in enumerate(item.detail):
            if detail.net is not None or detail.unit_price is not None:
                message = "A detail with a charge of its own is not read."
                self._faults.add("detail", f"{where}.detail[{number}]", message, "Send each charge as an item.")
            elif code_in(detail.product_or_service, NDC) is None and code_of(detail.product_or_service) is not None:
                message = "A detail with another code than an NDC is not read."
                self._faults.add("detail", f"{where}.detail[{number}]", message, "Send each service as an item.")
        if item.quantity is not None and item.quantity.comparator is not None:
            message = "The quantity is not exact."
            self._faults.add("value", f"{where}.quantity.comparator", message, "Send the units billed.")
        unit = (item.quantity.code or item.quantity.unit or "").lower() if item.quantity is not None else ""
        if unit in MEASURES:
            message = "The quantity is a measure of the substance, not units of the service."
            self._faults.add(
                "unit", f"{where}.quantity", message, "Send the units billed; the amount of a drug goes to a detail with its NDC."
            )

    def _modifiers(self, where: str, item: r.Item) -> tuple[str, ...]:
        found = [code_of(one, MODIFIERS) for one in item.modifier]
        for number, code in enumerate(found):
            if code is None:
                self._faults.add(
                    "value", f"{where}.modifier[{number}]", "The modifier has no code of CPT or HCPCS.", "Send the code of the modifier."
                )
        return tuple(code for code in found if code is not None)

    def _charge(self, where: str, item: r.Item) -> Money:
        """`net`, else `unitPrice` times quantity and factor."""
        charge = self._faults.money(f"{where}.net", item.net)
        if charge is None and item.net is None and item.unit_price is not None and item.unit_price.value is not None:
            units = item.quantity.value if item.quantity is not None and item.quantity.value is not None else Decimal(1)
            parts = (item.unit_price.value, units, item.factor if item.factor is not None else Decimal(1))
            if all(self._faults.number(f"{where}.unitPrice", part) is not None for part in parts):
                total = parts[0] * parts[1] * parts[2]
                charge = self._faults.money(f"{where}.unitPrice", r.Money(value=total, currency=item.unit_price.currency))
        if charge is None:
            self._faults.add("required", f"{where}.net", "The item has no charge.", "Send net, or unitPrice and quantity.")
        return charge or Money(0)

    def _days(self, where: str, item: r.Item) -> tuple[date | None, date | None]:
        """The day or period of the service; of a professional or dental item without one, the claim's billable period."""
        if item.serviced_date is not None:
            day = self._faults.day(f"{where}.servicedDate", item.serviced_date)
            return day, day
        period, at = item.serviced_period, f"{where}.servicedPeriod"
        if period is None and not self._is_institutional:
            period, at = self._claim.billable_period, f"{self._place}.billablePeriod"
        if period is None:
            return None, None
        first, last = self._faults.day(f"{at}.start", period.start), self._faults.day(f"{at}.end", period.end)
        return first, last or first

    def _basis(self, item: r.Item) -> UnitBasis | None:
        if item.quantity is None:
            return "UN" if _is_one(item) else None
        return BASES.get((item.quantity.code or item.quantity.unit or "").lower(), "UN") if item.quantity.value is not None else None

    def _units(self, where: str, item: r.Item) -> Quantity | None:
        """The quantity; one where the price is the charge, so that FHIR may leave it out."""
        if item.quantity is None:
            return Quantity(1000) if _is_one(item) else None
        return self._faults.quantity(f"{where}.quantity.value", item.quantity.value)

    def _drug(self, where: str, item: r.Item) -> Drug | None:
        """The detail whose product is an NDC."""
        for number, detail in enumerate(item.detail):
            ndc = code_in(detail.product_or_service, NDC)
            if ndc is not None:
                at, quantity = f"{where}.detail[{number}].quantity.value", detail.quantity
                return Drug(
                    ndc=ndc,
                    quantity=self._faults.quantity(at, quantity.value if quantity is not None else None),
                    unit=(quantity.code or quantity.unit) if quantity is not None else None,
                )
        return None

    def _teeth(self, item: r.Item) -> tuple[Tooth, ...]:
        number = code_of(item.body_site) if self._is_dental else None
        return (Tooth(number=number, surfaces=tuple(code for one in item.sub_site if (code := code_of(one)))),) if number else ()


def _is_one(item: r.Item) -> bool:
    price, net = item.unit_price, item.net
    if price is None or net is None or price.value is None or net.value is None:
        return False
    return is_reasonable(price.value) and is_reasonable(net.value) and price.value == net.value
