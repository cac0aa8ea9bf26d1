"""What one state of a rule set says otherwise than another, in words a rule admin and an auditor read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import msgspec

from rules_service.rules.rule import Manifest, RuleVersionContent, Window

What = Literal["rule_added", "rule_removed", "version_added", "version_removed", "dates_changed", "content_changed", "rule_set_changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: of which rule (none: of the rule set), what kind, which member, from what to what, and as a sentence."""

    rule_id: str | None
    what: What
    member: str
    before: str | None
    after: str | None
    text: str


def differences(
    before: Manifest | None, old: Mapping[str, RuleVersionContent], after: Manifest, new: Mapping[str, RuleVersionContent]
) -> list[Change]:
    """Every difference, the rule set's own first, then rule by rule. `old` and `new` are contents by hash."""
    found = list(_rule_set_changes(before, after)) if before is not None else []
    earlier, later = _by_rule(before.windows if before else ()), _by_rule(after.windows)
    for rule_id in sorted(earlier.keys() | later.keys()):
        if rule_id not in earlier:
            title = new[later[rule_id][0].sha256].title
            spans = "; ".join(f"version {window.version} {_span(window)}" for window in later[rule_id])
            found.append(Change(rule_id, "rule_added", "", None, title, f"Rule {rule_id} added: {title} ({spans})."))
        elif rule_id not in later:
            title = old[earlier[rule_id][0].sha256].title
            found.append(Change(rule_id, "rule_removed", "", title, None, f"Rule {rule_id} removed: {title}."))
        else:
            found.extend(_window_changes(rule_id, earlier[rule_id], old, later[rule_id], new))
    return found


def first_difference(before: Iterable[Window], after: Iterable[Window]) -> date | None:
    """The first policy date on which another version of some rule applies than before; None when there is no such date."""
    earlier, later = _by_rule(before), _by_rule(after)
    days = []
    for rule_id in earlier.keys() | later.keys():
        ours, theirs = earlier.get(rule_id, []), later.get(rule_id, [])
        turns = {window.effective_from for window in (*ours, *theirs)}
        turns |= {
            window.effective_through + timedelta(days=1)
            for window in (*ours, *theirs)
            if window.effective_through is not None and window.effective_through < date.max
        }
        days += [day for day in turns if _on(ours, day) != _on(theirs, day)]
    return min(days, default=None)


def _on(windows: Sequence[Window], day: date) -> str | None:
    return next((window.sha256 for window in windows if day in window.period), None)


def _by_rule(windows: Iterable[Window]) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = {}
    for window in sorted(windows, key=lambda one: (one.rule_id, one.effective_from)):
        found.setdefault(window.rule_id, []).append(window)
    return found


def _span(window: Window) -> str:
    return f"from {window.effective_from}" + (f" through {window.effective_through}" if window.effective_through else "")


def _rule_set_changes(before: Manifest, after: Manifest) -> Iterable[Change]:
    pairs: list[tuple[str, Any, Any]] = [("title", before.title, after.title), ("evidence", before.evidence, after.evidence)]
    old, new = msgspec.to_builtins(before.scope), msgspec.to_builtins(after.scope)
    pairs += [(f"scope.{name}", old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    tables = {table.name: table.sha256[:12] for table in before.tables}, {table.name: table.sha256[:12] for table in after.tables}
    pairs += [(f"tables.{name}", tables[0].get(name), tables[1].get(name)) for name in sorted(tables[0].keys() | tables[1].keys())]
    measures = [manifest.measures() for manifest in (before, after)]
    named = sorted(measures[0].keys() | measures[1].keys())
    pairs += [(f"emergencies.{name}", measures[0].get(name), measures[1].get(name)) for name in named]
    for member, one, other in pairs:
        if one != other:
            yield _changed(None, "rule_set_changed", member, one, other, "The rule set's")


def _window_changes(
    rule_id: str, earlier: Sequence[Window], old: Mapping[str, RuleVersionContent], later: Sequence[Window], new: Mapping[str, RuleVersionContent]
) -> Iterable[Change]:  # fmt: skip
    before, after = {window.version: window for window in earlier}, {window.version: window for window in later}
    for version in sorted(before.keys() | after.keys()):
        if version not in before:
            window = after[version]
            yield Change(rule_id, "version_added", "", None, str(version), f"Rule {rule_id}: version {version} applies {_span(window)}.")
            previous = max((number for number in after if number < version and number in before), default=None)
            if previous is not None:
                yield from _content_changes(rule_id, old[before[previous].sha256], new[window.sha256])
        elif version not in after:
            yield Change(rule_id, "version_removed", "", str(version), None, f"Rule {rule_id}: version {version} no longer applies.")
        else:
            one, other = before[version], after[version]
            if _span(one) != _span(other):
                text = f"Rule {rule_id}: version {version} applies {_span(other)}; before, {_span(one)}."
                yield Change(rule_id, "dates_changed", "", _span(one), _span(other), text)
            if one.sha256 != other.sha256:
                yield from _content_changes(rule_id, old[one.sha256], new[other.sha256])


def _content_changes(rule_id: str, before: RuleVersionContent, after: RuleVersionContent) -> Iterable[Change]:
    old, new = _flat(msgspec.to_builtins(before)), _flat(msgspec.to_builtins(after))
    for member in sorted(old.keys() | new.keys()):
        if member != "reason" and old.get(member) != new.get(member):
            yield _changed(rule_id, "content_changed", member, old.get(member), new.get(member), f"Rule {rule_id}:")


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Members by dotted path; a list of texts stays one value, so that its change reads as one."""
    if isinstance(value, dict):
        return {name: item for key, inner in value.items() for name, item in _flat(inner, f"{path}.{key}" if path else key).items()}
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        return {name: item for index, inner in enumerate(value) for name, item in _flat(inner, f"{path}[{index}]").items()}
    return {path: value}


def _changed(rule_id: str | None, what: What, member: str, before: Any, after: Any, subject: str) -> Change:
    one, other = _shown(before), _shown(after)
    return Change(rule_id, what, member, one, other, f"{subject} {member} {one or 'nothing'} -> {other or 'nothing'}.")


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
