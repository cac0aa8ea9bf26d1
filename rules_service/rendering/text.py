"""An evaluation as plain text for a terminal. Works on the JSON a client gets, so it shows what the client sees."""

from __future__ import annotations

from typing import Any

from rules_service.findings.coverage_told import told_of_coverage
from rules_service.primitives.errors import InputError, RulesServiceError


def evaluation_text(evaluation: dict[str, Any]) -> str:
    """Outcome, then each finding with place, message, denial, money, deadline and fixes; then what was not judged."""
    head = f"{evaluation['outcome'].upper()}  disposition {evaluation['disposition']}"
    if evaluation["findings"]:
        head += f"  at risk ${evaluation['total_amount_at_risk']}"
    if evaluation["earliest_fix_by"]:
        head += f"  fix by {evaluation['earliest_fix_by']}"
    lines = [head]
    for finding in evaluation["findings"]:
        lines.append(
            f"  {finding['finding_id']:<4}{finding['severity']:<10} {finding['code']:<24} {finding['rule_id']} v{finding['rule_version']}"
        )
        lines.append(f"      {finding['message']}")
        location = finding["location"]
        place = " | ".join(location[key] for key in ("json_pointer", "x12", "form") if location[key])
        lines.append(f"      at {place or 'the claim'}")
        denial = finding["predicted_denial"]
        if denial and denial["carc"]:
            remarks = "".join(f" {code}" for code in denial["rarcs"])
            lines.append(
                f"      predicts {denial['outcome']} {denial['group_code']}-{denial['carc']}{remarks}, ${finding['amount_at_risk']} at risk"
            )
        lines.extend(f"      fix ({fix['class']}): {fix['label']}" for fix in finding["fixes"])
    for skipped in evaluation["not_evaluated"]:
        where = f" lines {', '.join(map(str, skipped['line_numbers']))}" if skipped["line_numbers"] else ""
        lines.append(
            f"  not judged: {skipped['rule_id'] or skipped['code']}{where}: {skipped['reason']}"
            + (f" (supply {skipped['supply']})" if skipped["supply"] else "")
        )
    lines.extend(f"  {sentence}" for sentence in told_of_coverage(evaluation["coverage"]))
    return "\n".join(lines)


def error_document(error: RulesServiceError) -> dict[str, Any]:
    """An error of ours as plain data, with all its issues."""
    if not isinstance(error, InputError):
        return {"title": str(error), "errors": []}
    return {"title": error.title, "errors": [issue.plain() for issue in error.issues]}


def problem_text(problem: dict[str, Any]) -> str:
    """A refused claim as plain text."""
    lines = [f"REFUSED  {problem['title']}"]
    lines.extend(f"  {error['pointer']}: {error['message']} {error['mend']}".rstrip() for error in problem["errors"])
    return "\n".join(lines)
