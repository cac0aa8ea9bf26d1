"""Who bills as an ambulatory surgical center: it puts RT and LT on two lines where others use modifier 50 (Pub 100-04 ch. 14)."""

from __future__ import annotations

from rules_service.facts.view import LineView
from rules_service.rules.kinds.base import Parameters


class SurgicalCenters(Parameters, frozen=True):
    """The billing provider's taxonomy and the place of service that make a line a surgical center's."""

    surgical_center_places: tuple[str, ...] = ("24",)
    surgical_center_taxonomies: tuple[str, ...] = ("261QA1903X",)

    def bills(self, line: LineView) -> bool:
        """Whether a surgical center bills the line. The surgeon who operates there is none."""
        taxonomy = line.claim.providers.billing.taxonomy_code
        return line.place_of_service in self.surgical_center_places and taxonomy in self.surgical_center_taxonomies
