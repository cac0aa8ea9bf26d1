"""Generated pages: one a rule, one a finding code, their indexes, and the reference of the rule kinds.

What a page says in sentences is what the authors wrote in `rule.md`; the rest is what the rule files and the crosswalk state.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from rules_service.engine.crosswalk import CROSSWALK, prediction_of, rows_by_code
from rules_service.engine.policy import complete_branches
from rules_service.packs.check import HEADINGS
from rules_service.packs.read import Pack, RuleFolder
from rules_service.packs.samples import sample_editions
from rules_service.primitives.unknown import REASONS
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds import KINDS
from rules_service.rules.kinds.base import Branch
from rules_service.rules.rule import Prediction

Answers = dict[str, list[Entry]]
"""Rows of the crosswalk by finding code."""


@dataclass
class Found:
    """A finding code: how the rules that give it state it, and the rules."""

    branches: list[Branch] = field(default_factory=list)
    rules: list[tuple[Pack, RuleFolder]] = field(default_factory=list)


def pages(packs: Sequence[Pack], crosswalk: CodeTable) -> dict[str, str]:
    """Every page, by its path below `docs/`."""
    answers, found = rows_by_code(crosswalk), _findings(packs)
    written = {f"rules/{rule.file.id}.md": _rule_page(pack, rule, answers) for pack in packs for rule in pack.rules}
    written["rules/README.md"] = _rule_index(packs)
    written |= {f"findings/{code}.md": _finding_page(code, one, answers.get(code, [])) for code, one in found.items()}
    written["findings/README.md"] = _finding_index(found, answers)
    written["rule-kinds.md"] = _kinds_page(packs)
    written["coverage.md"] = _coverage_page(packs)
    return written


def shipped_crosswalk(samples: Path) -> CodeTable:
    """The crosswalk among the sample editions of a folder."""
    (edition,) = (one for one in sample_editions(samples) if one.name == CROSSWALK)
    table = edition.open()
    if not isinstance(table, CodeTable):
        raise TypeError(f"{CROSSWALK} is a table of codes")
    return table


def write_pages(packs: Sequence[Pack], crosswalk: CodeTable, docs: Path) -> int:
    """Write every page; those of rules and findings that are gone are removed. How many were written."""
    written = {docs / name: text for name, text in pages(packs, crosswalk).items()}
    for folder in (docs / "rules", docs / "findings"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.md"):
            if path not in written:
                path.unlink()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return len(written)


def _findings(packs: Sequence[Pack]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for pack in packs:
        for rule, _, content in pack.contents():
            for branch in complete_branches(content):
                if branch.severity is not None:
                    one = found.setdefault(branch.code, Found())
                    one.branches.append(branch)
                    if (pack, rule) not in one.rules:
                        one.rules.append((pack, rule))
    return dict(sorted(found.items()))


def _answer(prediction: Prediction) -> str:
    """`rejection A7:562`, `denial CO-97 N20`, or `none`."""
    if prediction.outcome == "none":
        return "none"
    adjustment = f" {prediction.group_code}-{prediction.carc}" if prediction.carc else ""
    return (
        prediction.outcome
        + adjustment
        + "".join(f" {code}" for code in prediction.rarcs)
        + (f", {prediction.claim_status}" if prediction.claim_status else "")
    )


def _answers(code: str, branch: Branch | None, answers: Answers) -> str:
    if branch is not None and branch.predicts is not None:
        return _answer(branch.predicts)
    told = {_answer(prediction_of(row)): None for row in answers.get(code, ()) if row.last is None}
    return " or ".join(told) or "none"


def _sections(rule: RuleFolder) -> dict[str, str]:
    """The text under each heading of rule.md."""
    found: dict[str, str] = {}
    for part in (rule.page or "").split("## ")[1:]:
        title, _, text = part.partition("\n")
        found[title.strip()] = text.strip()
    return found


def _finding_page(code: str, found: Found, rows: list[Entry]) -> str:
    titles, messages = (
        list(dict.fromkeys(texts)) for texts in ([one.title for one in found.branches], [one.message for one in found.branches])
    )
    severities, owners = (
        sorted({str(text) for text in texts})
        for texts in ([one.severity for one in found.branches], [one.owner_role for one in found.branches])
    )
    lines = [f"# {code}: {titles[0]}", "", f"Severity {' or '.join(severities)}; for the {' or '.join(owners)}.", ""]
    lines += [*(f"> {message}" for message in messages), ""]
    for heading in HEADINGS:
        lines += [f"## {heading}", ""]
        if heading == "Why the payer denies it":
            lines += _predicted(found, rows)
        if heading == "How to fix it":
            fixes = {fix.label: fix.class_ for branch in found.branches for fix in branch.fixes}
            lines += [f"- {label} (`{class_}`)" for label, class_ in fixes.items()] + ([""] if fixes else [])
        if heading == "When to waive it":
            reasons = dict.fromkeys(reason for branch in found.branches for reason in branch.override_reasons)
            lines += [f"Reasons taken: {', '.join(f'`{reason}`' for reason in reasons)}.", ""] if reasons else []
        texts: dict[str, list[str]] = {}
        for _, rule in found.rules:
            texts.setdefault(_sections(rule).get(heading, ""), []).append(f"[{rule.file.id}](../rules/{rule.file.id}.md)")
        for text, ids in texts.items():
            lines += [f"{', '.join(ids)}: {text}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _predicted(found: Found, rows: list[Entry]) -> list[str]:
    lines = []
    for row in rows:
        until = "" if row.last is None else f" until {row.last}"
        subject = row.key.partition(":")[2]
        lines.append(
            f"- {f'{subject}: ' if subject else ''}{_answer(prediction_of(row))} (received from {date.fromordinal(row.first_day)}{until})"
        )
    own = {_answer(branch.predicts): None for branch in found.branches if branch.predicts is not None}
    lines += [f"- {answer} (as the rule itself says)" for answer in own]
    return [*lines, ""] if lines else []


def _finding_index(found: dict[str, Found], answers: Answers) -> str:
    lines = [
        "# Finding codes",
        "",
        "Generated from `payer_rules/` by `make openapi`.",
        "",
        "| Code | Title | Predicted answer |",
        "|---|---|---|",
    ]
    by_carc: dict[str, list[str]] = {}
    for code, one in found.items():
        own = next((branch for branch in one.branches if branch.predicts is not None), None)
        lines.append(f"| [{code}]({code}.md) | {one.branches[0].title} | {_answers(code, own, answers)} |")
        predictions = [branch.predicts for branch in one.branches if branch.predicts is not None]
        predictions += [prediction_of(row) for row in answers.get(code, ())]
        for carc in {prediction.carc for prediction in predictions if prediction.carc}:
            by_carc.setdefault(carc, []).append(code)
    lines += [
        "",
        "## By CARC",
        "",
        "What stands behind a claim adjustment reason code on a remittance. Texts of the codes: https://x12.org/codes",
        "",
    ]
    for carc in sorted(by_carc, key=lambda text: (not text.isdigit(), text.zfill(4))):
        lines.append(f"- **{carc}**: {', '.join(f'[{code}]({code}.md)' for code in by_carc[carc])}")
    return "\n".join(lines) + "\n"


def _rule_page(pack: Pack, rule: RuleFolder, answers: Answers) -> str:
    """The documentation page of a rule: what the author wrote, then what the files state."""
    file = rule.file
    lines = [
        f"# {file.id}: {file.title}",
        "",
        f"Pack `{pack.file.id}` ({pack.file.evidence.replace('_', ' ')}), kind `{file.kind}`, level `{file.level}`, stage `{file.stage}`.",
        "",
    ]
    lines += [part.rstrip() for part in (rule.page or "").strip().splitlines()]
    lines += ["", "## Versions", ""]
    for version in file.versions:
        through = f" through {version.effective_through}" if version.effective_through else " on"
        lines.append(f"- **{version.version}**, from {version.effective_from}{through}: {version.reason}")
        for citation, found in zip(version.citations, pack.cited(version), strict=True):
            link = f"[{found.title}]({found.url})" if found.url else found.title
            lines.append(
                f"  - {link}"
                + (f", {citation.locator}" if citation.locator else "")
                + (f" (verified {found.verified_on})" if found.verified_on else "")
            )
    lines += ["", "## Findings", "", "| Code | Severity | Predicted denial |", "|---|---|---|"]
    for branch in complete_branches(pack.content(file, file.versions[0])):
        if branch.severity is not None:
            lines.append(
                f"| [`{branch.code}`](../findings/{branch.code}.md) | {branch.severity} | {_answers(branch.code, branch, answers)} |"
            )
    return "\n".join(lines) + "\n"


def _rule_index(packs: Sequence[Pack]) -> str:
    lines = ["# Rules", "", "Generated from `payer_rules/` by `rules-service packs pages`.", ""]
    for pack in packs:
        lines += [f"## {pack.file.title}", "", pack.file.description, ""]
        lines += [f"- [{rule.file.id}]({rule.file.id}.md) {rule.file.title}" for rule in pack.rules] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _coverage_page(packs: Sequence[Pack]) -> str:
    """Which kinds of rule each shipped pack holds: what is looked for, and what is not."""
    lines = [
        "# What is looked for, by payer",
        "",
        "Generated from `payer_rules/` by `make openapi`. The rules in force or announced of each kind; the national baseline's concern every payer.",
        "Where a payer's column and the baseline's are empty nothing is looked for: the answer to a claim says so in `coverage.kinds_without_rule`.",
        "",
        f"| Kind | {' | '.join(f'`{pack.file.id}`' for pack in packs)} |",
        f"|---|{'---|' * len(packs)}",
    ]
    for name, kind in sorted(KINDS.items()):
        counts = [sum(rule.file.kind == name and rule.file.stage == "stable" for rule in pack.rules) for pack in packs]
        lines.append(f"| [{name}](rule-kinds.md#{name}): {kind.title} | {' | '.join(str(count or '') for count in counts)} |")
    return "\n".join(lines) + "\n"


def _kinds_page(packs: Sequence[Pack]) -> str:
    """The reference page of the rule kinds: parameters, facts, and the findings the shipped packs give with them."""
    lines = ["# Rule kinds", "", "Generated from `rules_service/rules/kinds` by `make openapi`.", ""]
    for name, kind in sorted(KINDS.items()):
        lines += [
            f"## {name}",
            "",
            f"{kind.title}. Levels: {', '.join(kind.levels)}.",
            "",
            (inspect.getdoc(inspect.getmodule(kind)) or "").partition("\n\n")[2],
            "",
        ]
        fields = msgspec.structs.fields(kind.parameters)
        if fields:
            lines += [inspect.getdoc(kind.parameters) or "", "", "| Parameter | Required |", "|---|---|"]
            lines += [f"| `{field.encode_name}` | {'yes' if field.required else 'no'} |" for field in fields] + [""]
        if kind.specs:
            lines += ["| Fact | Type | Meaning |", "|---|---|---|"]
            lines += [f"| `{spec.name}` | {spec.type} | {spec.description} |" for spec in kind.specs.values()] + [""]
        found = {
            branch.code: f"| `{branch.code}` | {branch.severity} | {branch.title} |"
            for pack in packs
            for _, _, content in pack.contents()
            if content.kind == name
            for branch in complete_branches(content)
            if branch.severity is not None
        }
        lines += ["| Finding | Severity | Title |", "|---|---|---|", *(found[code] for code in sorted(found)), ""]
    lines += [
        "## Why a rule could not be judged",
        "",
        "Every reason of `not_evaluated`; the list is closed.",
        "",
        "| Reason | Meaning |",
        "|---|---|",
    ]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in sorted(REASONS.items())]
    return "\n".join(lines).rstrip() + "\n"
