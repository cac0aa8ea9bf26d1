"""A claim read once: what every rule kind asks of it, computed one time per evaluation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal

from rules_service.claim.claim import Claim, SubmissionType
from rules_service.claim.parties import Provider
from rules_service.claim.service_lines import ServiceLine
from rules_service.primitives.codes import spelled

REFERENCE_LABORATORY = "90"
MAX_SPAN_DAYS = 400
"""Days of one line that are looked at one by one."""


class LineView:
    """One service line with the header's values where the line has none of its own (line over header precedence).

    `first_day` and `last_day` are day numbers of the span, None without a date; `days_in_span` counts both ends, 1 when a date is
    missing or the span runs backwards. `rendering` is 2420A, else 2310B, else billing. `charge_at_risk`: cents expected for the
    line, or its charge where no expected amount is given; 0 of a negative charge.
    """

    __slots__ = (
        "charge_at_risk",
        "claim",
        "code",
        "date_from",
        "date_through",
        "days_in_span",
        "facts",
        "first_day",
        "index",
        "last_day",
        "line",
        "modifiers",
        "number",
        "place_of_service",
        "rendering",
        "view",
    )

    def __init__(self, view: ClaimView, index: int, line: ServiceLine) -> None:
        claim = view.claim
        self.view = view
        self.claim = claim
        self.index = index
        self.line = line
        self.number = line.line_number
        self.code = line.procedure_code
        self.modifiers = line.modifiers
        self.date_from = line.service_from or (claim.institutional.statement_from if claim.institutional else None)
        self.date_through = (
            line.service_through or line.service_from or (claim.institutional.statement_through if claim.institutional else None)
        )
        self.first_day = self.last_day = None if self.date_from is None else self.date_from.toordinal()
        if self.first_day is not None and self.date_through is not None and self.date_through != self.date_from:
            self.last_day = max(self.first_day, self.date_through.toordinal())
        self.days_in_span = 1 if self.first_day is None or self.last_day is None else self.last_day - self.first_day + 1
        self.place_of_service = line.place_of_service_code or claim.place_of_service_code
        self.rendering: Provider = self.own_provider("rendering") or claim.providers.rendering or claim.providers.billing
        self.charge_at_risk = max(0, (line.expected_amount or line.charge_amount).cents)
        self.facts: dict[str, Any] | None = None

    def own_provider(self, role: Literal["rendering", "service_facility", "ordering", "referring"]) -> Provider | None:
        """The provider that the line itself names (loop 2420), if it does."""
        provider: Provider | None = getattr(self.line.providers, role, None)
        return provider

    @property
    def is_referred_test(self) -> bool:
        """Another laboratory made the test (modifier 90)."""
        return REFERENCE_LABORATORY in self.modifiers

    @property
    def laboratory_number(self) -> str | None:
        """CLIA number of the laboratory that made the test: of the reference laboratory (REF*F4), else of the line or claim (REF*X4)."""
        return self.line.referring_clia_number if self.is_referred_test else self.line.clia_number or self.claim.clia_number

    @property
    def days(self) -> list[date]:
        """The days of the span, from the first on, at most MAX_SPAN_DAYS; none without a date."""
        if self.date_from is None:
            return []
        count = min(self.days_in_span, MAX_SPAN_DAYS)
        return [self.date_from] if count == 1 else [self.date_from + timedelta(days=number) for number in range(count)]

    @property
    def authorization_number(self) -> str | None:
        """REF*G1 of the line, else of the claim (the first, when several are given)."""
        if self.line.prior_authorization_number:
            return self.line.prior_authorization_number
        numbers = self.claim.prior_authorization_numbers
        return numbers[0] if numbers else None

    @property
    def diagnosis_codes(self) -> tuple[str, ...]:
        """Codes of the diagnoses the line points to; all diagnoses of an institutional claim, which has no pointers."""
        if self.claim.claim_type == "institutional":
            return tuple(diagnosis.code for diagnosis in self.claim.diagnoses)
        by_sequence = self.view.diagnosis_by_sequence
        return tuple([by_sequence[pointer] for pointer in self.line.diagnosis_pointers if pointer in by_sequence])


class ClaimView:
    """A claim with derived views. Nothing in here reads a clock: `received_at` was resolved at the edge."""

    def __init__(
        self, claim: Claim, payer_id: str, payer_names: frozenset[str] = frozenset(), family_names: frozenset[str] = frozenset()
    ) -> None:
        """`payer_names`: every id and name of the payer, as `spelled` gives them; `family_names`: also of those with the same parent."""
        self.claim = claim
        self.payer_id = payer_id
        self._known_names = payer_names
        self.payer_names = payer_names | {spelled(payer_id), spelled(claim.payer.payer_id)}
        self.family_names = self.payer_names | family_names
        # By line number, so that nothing depends on the order in which the document lists them; `index` keeps the document's.
        numbered = sorted(enumerate(claim.service_lines), key=lambda item: item[1].line_number)
        self.lines = [LineView(self, index, line) for index, line in numbered]
        self.facts: dict[str, Any] | None = None
        self.memo: dict[Any, Any] = {}

    def of(self, claim: Claim) -> ClaimView:
        """The view of another claim to the same payer."""
        return ClaimView(claim, self.payer_id, self._known_names, self.family_names)

    def let_go(self) -> None:
        """End the use of the view. Its lines and facts point back at it, and what points in a circle would wait for the garbage collector, whose
        rounds cost a request more than all its memory is worth."""
        for line in self.lines:
            line.facts = None
        self.lines = []
        self.facts = None
        self.memo = {}

    @property
    def payer_named_by(self) -> Literal["payer_id", "name"] | None:
        """What the payer was recognised by: its name where the id is none of its ids; None for a payer nobody knows."""
        if not self.payer_id:
            return None
        return "payer_id" if not self._known_names or spelled(self.claim.payer.payer_id) in self._known_names else "name"

    def is_of_payer(self, name: str | None) -> bool:
        """Whether what goes with the claim is of its payer, by any of the payer's ids and names; what names nobody is."""
        return name is None or spelled(name) in self.payer_names

    def is_of_family(self, name: str | None) -> bool:
        """The same of its payer and those with the same parent."""
        return name is None or spelled(name) in self.family_names

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """The value computed the first time this key was asked for; rules of one kind share their groundwork through it."""
        try:
            return self.memo[key]
        except KeyError:
            value = self.memo[key] = compute()
            return value

    @cached_property
    def diagnosis_by_sequence(self) -> dict[int, str]:
        """Diagnosis code by the sequence pointers name."""
        return {diagnosis.sequence: diagnosis.code for diagnosis in self.claim.diagnoses}

    @cached_property
    def bill(self) -> str:
        """Type of bill without its leading zero: `111`; empty for another claim than an institutional one."""
        institutional = self.claim.institutional
        return (institutional.type_of_bill or "").lstrip("0") if institutional is not None else ""

    @cached_property
    def date_from(self) -> date | None:
        """Statement-from of an institutional claim, else the earliest line date."""
        institutional = self.claim.institutional
        if institutional is not None and institutional.statement_from is not None:
            return institutional.statement_from
        return min((line.date_from for line in self.lines if line.date_from), default=None)

    @cached_property
    def date_through(self) -> date | None:
        """Statement-through of an institutional claim, else the latest line date."""
        institutional = self.claim.institutional
        if institutional is not None and institutional.statement_through is not None:
            return institutional.statement_through
        return max((line.date_through for line in self.lines if line.date_through), default=None)

    @property
    def dates(self) -> list[date]:
        """Every date that can pick a policy: of the lines, of the claim, of receipt."""
        found = [self.received_date, self.date_from, self.date_through]
        for line in self.lines:
            found += (line.date_from, line.date_through)
        return [day for day in found if day is not None]

    @cached_property
    def received_date(self) -> date:
        """The date of `received_at` in its own offset."""
        if self.claim.received_at is None:
            raise ValueError("received_at is resolved at the edge, before evaluation")
        return self.claim.received_at.date()

    @cached_property
    def submission_type(self) -> SubmissionType:
        """original, secondary, corrected, void or appeal: as stated, else from frequency code and payer responsibility."""
        claim = self.claim
        if claim.submission is not None and claim.submission.type is not None:
            return claim.submission.type
        if claim.claim_frequency_code == "8":
            return "void"
        if claim.claim_frequency_code == "7":
            return "corrected"
        return "original" if claim.payer_responsibility in (None, "primary") else "secondary"

    @cached_property
    def total_at_risk(self) -> int:
        """Cents: what is expected for the whole claim."""
        return sum(line.charge_at_risk for line in self.lines)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every procedure code on the claim."""
        return frozenset(line.code for line in self.lines if line.code)
