"""Who counts as the same practitioner to a payer: on one claim, and beside earlier claims (domain.md 2.0).

CMS pays physicians of one group and specialty as one (Pub 100-04 ch. 12 s. 30.6.5). Where the claim does not give a specialty the payer's roster
may; where neither does, it is not known whether two practitioners of a group are one to the payer.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from rules_service.claim.context import HistoryLine
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups

ProviderScope = Literal["rendering_npi", "billing_npi", "billing_npi_and_specialty"]

WHO_RENDERED_EARLIER = Unknown("context_not_supplied", "context.history.line.rendering_npi")
SPECIALTY_NOT_KNOWN = Unknown("specialty_not_known", "service_lines.providers.rendering.taxonomy_code")


class Practitioners:
    """The practitioners of a claim as one payer tells them apart. `roster` names its table of providers, whose `specialty` is a taxonomy code."""

    __slots__ = ("_lookups", "_roster", "_scope")

    def __init__(self, scope: ProviderScope, lookups: Lookups, roster: str | None = None) -> None:
        self._scope = scope
        self._lookups = lookups
        self._roster = roster

    def same(self, one: LineView, other: LineView) -> bool | None:
        """Whether two lines of one claim are of the same practitioner; None when that turns on a specialty nobody states."""
        if self._scope == "billing_npi" or one.rendering.npi == other.rendering.npi:
            return True
        if self._scope == "rendering_npi":
            return False
        return _equal(self._specialty_on(one), self._specialty_on(other))

    def same_as_earlier(self, line: LineView, earlier: HistoryLine) -> bool | None:
        """Whether an earlier line is; None when the history does not say who rendered or billed it, or in which specialty, and that decides."""
        rendering, billing = line.rendering, line.claim.providers.billing.npi
        same_group = None if earlier.billing_npi is None else earlier.billing_npi == billing
        if earlier.rendering_npi is None:
            if self._scope == "billing_npi" or not same_group:
                return same_group
            return True if rendering.npi == billing else None
        if earlier.rendering_npi == rendering.npi:
            return same_group is not False if self._scope == "billing_npi" else True
        if self._scope == "rendering_npi" or same_group is False:
            return False
        if self._scope == "billing_npi":
            return same_group
        theirs = self._specialty(earlier.rendering_npi, earlier.taxonomy_code, earlier.service_from)
        is_same = _equal(self._specialty_on(line), theirs)
        return same_group if is_same else is_same

    def _specialty_on(self, line: LineView) -> str | None:
        return self._specialty(line.rendering.npi, line.rendering.taxonomy_code, line.date_from)

    def _specialty(self, npi: str | None, taxonomy: str | None, day: date | None) -> str | None:
        if taxonomy is not None or self._roster is None or npi is None or day is None:
            return taxonomy
        table = self._lookups.codes(self._roster, day)
        return None if isinstance(table, Unknown) else table.text_on(npi, "specialty", day.toordinal()) or None


def _equal(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one == other
