"""Whether what the findings of packs predict can be answered by a payer: every finding that holds a claim predicts something, and every
group code, CARC and RARC of a prediction is active for as long as the prediction may be made.

The predictions are those of the rules themselves and of the table `denial_crosswalk`; codes and their dates stand in the table
`remittance_codes` (X12 external code lists 139 and 411). A table that is not loaded is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from rules_service.engine.crosswalk import CROSSWALK, prediction_of, rows_by_code
from rules_service.engine.policy import complete_branches
from rules_service.packs.read import Pack
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.reference.policy_files import REQUIRE_RARC
from rules_service.rules.rule import Prediction

REMITTANCE_CODES = "remittance_codes"
HOLDING = frozenset({"reject", "deny_hard", "deny_soft", "pend"})
"""Severities that say the payer does not pay the claim as it stands."""
_SAY = "Predict a remark code that says what is wrong."
_MEND = "Predict a code that is active, or give the row the days on which it is."


def check_predictions(packs: Sequence[Pack], editions: EditionCatalog, today: date) -> Iterator[Issue]:
    """The faults of these packs' findings, by rule. Errors of the crosswalk itself: see `check_crosswalk`."""
    lookups = Lookups(editions)
    crosswalk, known = lookups.codes(CROSSWALK, today), lookups.codes(REMITTANCE_CODES, today)
    answered: frozenset[str] = frozenset() if isinstance(crosswalk, Unknown) else frozenset(rows_by_code(crosswalk))
    for pack in packs:
        for rule, version, content in pack.contents():
            where = rule.positions.where("/id")
            period = EffectivePeriod(version.effective_from, version.effective_through)
            for branch in complete_branches(content):
                if branch.predicts is not None and not isinstance(known, Unknown):
                    for code in inactive(known, branch.predicts, period):
                        message = f"{content.rule_id} version {version.version}: {branch.code} predicts {code}, which is not active on all its days."
                        yield Issue("PK024", where, message, _MEND)
                    if says_nothing(known, branch.predicts):
                        message = f"{content.rule_id} version {version.version}: {branch.code} predicts a CARC that needs a remark code, with alerts only."
                        yield Issue("PK025", where, message, _SAY)
                elif branch.severity in HOLDING and branch.predicts is None and answered and branch.code not in answered:
                    message = f"{content.rule_id}: {branch.code} holds a claim and says nothing of the payer's answer."
                    yield Issue("PK023", where, message, "Give the finding predicts, or denial_crosswalk a row.")


def check_crosswalk(editions: EditionCatalog, today: date) -> Iterator[Issue]:
    """The faults of the crosswalk in force on a day."""
    lookups = Lookups(editions)
    crosswalk, known = lookups.codes(CROSSWALK, today), lookups.codes(REMITTANCE_CODES, today)
    if not isinstance(crosswalk, Unknown) and not isinstance(known, Unknown):
        yield from crosswalk_faults(crosswalk, known)


def crosswalk_faults(crosswalk: CodeTable, known: CodeTable) -> Iterator[Issue]:
    """Rows whose codes are not active on all the row's days."""
    for row in crosswalk:
        for code in inactive(known, prediction_of(row), EffectivePeriod(date.fromordinal(row.first_day), row.last)):
            yield Issue("PK024", f"{CROSSWALK}:{row.key}", f"{code} is not active on all days of the row.", _MEND)
        if says_nothing(known, prediction_of(row)):
            yield Issue("PK025", f"{CROSSWALK}:{row.key}", "The CARC needs a remark code, and the row has alerts only.", _SAY)


def inactive(known: CodeTable, prediction: Prediction, period: EffectivePeriod) -> list[str]:
    """The codes of a prediction that are not active from the first day of the period through its last."""
    wanted = [f"CARC:{prediction.carc}"] if prediction.carc else []
    wanted += [f"GROUP:{prediction.group_code}"] if prediction.group_code else []
    wanted += [f"RARC:{code}" for code in prediction.rarcs]
    first, last = period.first.toordinal(), (period.last or date.max).toordinal()
    return [code.replace(":", " ") for code in wanted if not _is_active(known, code, first, last)]


def says_nothing(known: CodeTable, prediction: Prediction) -> bool:
    """Whether a CARC that needs a remark code comes with alerts only, which inform and do not count (X12 code list 411)."""
    if prediction.carc not in REQUIRE_RARC or not prediction.rarcs or "alert" not in known.columns:
        return False
    at = known.column("alert")
    return all(any(entry.values[at] == 1 for entry in known.rows_of(f"RARC:{code}")) for code in prediction.rarcs)


def _is_active(known: CodeTable, key: str, first: int, last: int) -> bool:
    entry: Entry | None = known.on(key, first)
    return entry is not None and entry.last_day >= last
