"""What is not known, and the closed list of reasons why a rule could not be judged."""

from __future__ import annotations

from dataclasses import dataclass

REASONS: dict[str, str] = {
    "authorization_not_verifiable": "An authorization number is present, but no authorization record was supplied to check it against.",
    "code_not_in_partial_edition": "The loaded edition of the reference table is an extract, and the code is not in it.",
    "context_not_supplied": "The rule needs something in `context` that was not supplied.",
    "filing_limit_not_stated": "The payer's filing rule has no limit for this kind of submission or network.",
    "history_not_supplied": "The rule looks at earlier claims and `context.history` was not supplied.",
    "payer_rules_missing": "No rule of this payer is in force for the claim; only the national baseline was judged.",
    "provider_not_on_roster": "The provider is not on the payer's roster, which is not said to be complete.",
    "reference_edition_out_of_range": "No loaded edition of the reference table covers the date.",
    "reference_table_missing": "The reference table the rule needs has not been loaded.",
    "rule_switched_off": "An emergency has switched the rule off.",
    "service_date_missing": "The line has no date of service, so no policy version can be chosen.",
    "specialty_not_known": "Two practitioners of one group gave the services, and neither the claim nor the payer's roster says that both are of one specialty, or not.",
    "unit_limit_not_published": "The unit limit of this code is not published; CMS keeps some confidential.",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not known, for a reason of the closed list; `supply` names the request field that would tell."""

    reason: str
    supply: str | None = None

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"{self.reason} is not a documented reason: add it to REASONS")
