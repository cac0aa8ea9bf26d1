"""`packs check`: the linter of rule packs. Every fault has a code, a file and line, and a mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rules_service.claim.locations import KNOWN_PLACES
from rules_service.engine.compile import Program
from rules_service.engine.policy import complete_branches, specs_for
from rules_service.engine.render import PLACEHOLDER
from rules_service.facts.catalogue import CATALOGUE
from rules_service.packs import yaml_text
from rules_service.packs.model import plain
from rules_service.packs.read import Pack, RuleFolder
from rules_service.primitives.codes import spelled
from rules_service.primitives.dates import EffectivePeriod, first_overlap
from rules_service.primitives.errors import Issue, PackFault, RuleRefused
from rules_service.reference.publishers import TABLES
from rules_service.rules.condition import ConditionReader
from rules_service.rules.kinds import KINDS
from rules_service.rules.rule import RuleVersionContent
from rules_service.rules.selection import scope_rank

CODES: dict[str, str] = {
    "PK001": "The YAML cannot be read as plain text.",
    "PK002": "The file does not fit its schema.",
    "PK003": "Folder and rule name differ.",
    "PK004": "A rule id or name is used twice.",
    "PK005": "Windows of one rule overlap, or versions are out of order.",
    "PK006": "A condition cannot be used.",
    "PK007": "Parameters cannot be used.",
    "PK008": "A cited source is not in the pack.",
    "PK009": "rule.md is missing or its headings differ.",
    "PK010": "Cases are missing: must fire, must not fire, first and last day of every version.",
    "PK011": "The file is not in canonical form.",
    "PK012": "A locked version was edited.",
    "PK013": "A message names an unknown placeholder, or one that would show PHI.",
    "PK014": "A rule overrides or disables a rule that is not of a broader scope, or does not exist.",
    "PK015": "A finding points to an unknown place.",
    "PK016": "A rule has no citation.",
    "PK017": "A table cannot be used.",
    "PK018": "A kind or level is not known, or they do not fit.",
    "PK019": "A finding code is not one of the kind's.",
    "PK021": "Two payers have one name.",
    "PK022": "A source is due to be verified again before it was verified.",
    "PK023": "A finding that holds a claim predicts no answer of the payer.",
    "PK024": "A predicted code is not active on the days it is predicted for.",
    "PK025": "A predicted CARC needs a remark code, and only alerts are predicted with it.",
    "PK026": "Two sources of a pack have one id.",
    "PK020": "A pack that says it states published policy has no verified source.",
}
HEADINGS = ("What it finds", "Why the payer denies it", "How to fix it", "When to waive it", "Known gaps")


def check_packs(packs: Sequence[Pack], beside: Sequence[Pack] = ()) -> list[Issue]:
    """Every fault of these packs, in file order, and of their meeting the packs `beside` them; what those hold was checked before."""
    issues: list[Issue] = []
    ids = {rule.file.id: rule.positions.where("/id") for pack in beside for rule in pack.rules}
    for pack in packs:
        issues.extend(_check_pack(pack))
        for rule in pack.rules:
            where = rule.positions.where("/id")
            if rule.file.id in ids:
                issues.append(
                    Issue(
                        "PK004",
                        where,
                        f"The id {rule.file.id} is used at {ids[rule.file.id]} too.",
                        "Ids are given once and never reused: take the next free one.",
                    )
                )
            ids[rule.file.id] = where
    issues.extend(_check_precedence([*beside, *packs]))
    issues.extend(_check_aliases([*beside, *packs]))
    return issues


def _check_pack(pack: Pack) -> Iterator[Issue]:
    positions = pack.positions
    yield from _canonical(pack.root / "pack.yaml", positions.file, plain(pack.file))
    if pack.file.evidence == "published_policy" and not any(source.verified_on for source in pack.file.sources):
        yield Issue(
            "PK020",
            positions.where("/sources"),
            "The pack says it states published policy, and no source has `verified_on`.",
            "Verify a source, or label the pack `illustrative`.",
        )
    named: set[str] = set()
    for at, source in enumerate(pack.file.sources):
        if source.id in named:
            yield Issue("PK026", positions.where(f"/sources/{at}"), "Two sources of the pack have one id.", "Name each source once.")
        named.add(source.id)
        if source.reverify_by is not None and (source.verified_on is None or source.reverify_by <= source.verified_on):
            yield Issue(
                "PK022",
                positions.where(f"/sources/{at}"),
                "A source with `reverify_by` was verified before that day.",
                "Give `verified_on`, and a `reverify_by` after it.",
            )
    if pack.file.scope.layer != "national" and not (pack.file.scope.payer_ids or pack.file.scope.lines_of_business):
        yield Issue(
            "PK002",
            positions.where("/scope"),
            "A pack below the national layer names payers or lines of business.",
            "Fill `payer_ids` or `lines_of_business`.",
        )
    names: set[str] = set()
    for rule in pack.rules:
        if rule.file.name in names:
            yield Issue("PK004", rule.positions.where("/name"), "Another rule of the pack has this name.", "Name the defect more closely.")
        names.add(rule.file.name)
        yield from _check_rule(pack, rule)


def _check_rule(pack: Pack, rule: RuleFolder) -> Iterator[Issue]:
    file, where = rule.file, rule.positions.where
    yield from _canonical(rule.path / "rule.yaml", rule.positions.file, plain(file))
    if rule.path.name != file.name:
        yield Issue("PK003", where("/name"), "The folder does not have the rule's name.", f"Rename the folder to {file.name}.")
    kind = KINDS.get(file.kind)
    if kind is None or file.level not in kind.levels:
        known = ", ".join(sorted(KINDS)) if kind is None else f"levels of {file.kind}: {', '.join(kind.levels)}"
        yield Issue("PK018", where("/kind" if kind is None else "/level"), f"Not known here. Known: {known}.", "Use one of these.")
        return
    yield from _check_windows(rule)
    yield from _check_page(rule)
    yield from _check_cases(pack, rule)
    known_sources = {source.id for source in pack.file.sources}
    locked = {(one.rule, one.version): one.sha256 for one in pack.lock.versions}
    for index, version in enumerate(file.versions):
        at = f"/versions/{index}"
        for number, citation in enumerate(version.citations):
            if citation.source not in known_sources:
                yield Issue(
                    "PK008", where(f"{at}/citations/{number}"), "The pack has no source with this id.", "Add it to `sources` in pack.yaml."
                )
        if not version.citations:
            yield Issue(
                "PK016",
                where(at),
                "The version has no citation.",
                "Cite the text it rests on, or the pack's own statement when it is illustrative.",
            )
        content = pack.content(file, version)
        if locked.get((file.id, version.version), content.sha256()) != content.sha256():
            yield Issue(
                "PK012",
                where(at),
                f"Version {version.version} is published and locked, and its content changed.",
                f"Restore it and write version {max(one.version for one in file.versions) + 1}.",
            )
        yield from _check_content(pack, rule, content, at)


def _check_content(pack: Pack, rule: RuleFolder, content: RuleVersionContent, at: str) -> Iterator[Issue]:
    kind, where = KINDS[content.kind], rule.positions.where
    try:
        parameters = kind.read_parameters(content.parameters)
    except RuleRefused as error:
        for issue in error.issues:
            yield Issue("PK007", where(f"{at}/parameters{issue.where}"), issue.message, issue.mend)
        return
    for issue in kind.check_parameters(parameters):
        yield Issue("PK007", where(f"{at}/parameters{issue.where}"), issue.message, issue.mend)
    own = {table.name for table in pack.file.tables}
    for name in kind.table_names(parameters):
        if name not in own and name not in TABLES:
            yield Issue(
                "PK007",
                where(f"{at}/parameters"),
                f"There is no table {name}.",
                f"Add it to `tables` in pack.yaml, or use one of: {', '.join(sorted(TABLES))}.",
            )
    try:
        branches = complete_branches(content)
    except ValueError as error:
        yield Issue("PK002", where(at), f"{error}.", "Complete the version.")
        return
    codes = {branch.code for branch in branches}
    for code in content.findings:
        if code not in codes:
            yield Issue(
                "PK019", where(f"{at}/findings/{code}"), f"{content.kind} has no finding {code}.", f"It has: {', '.join(sorted(codes))}."
            )
    specs = specs_for(kind, content.level)
    for branch in branches:
        reader = ConditionReader(specs.get)
        condition = reader.read(branch.when, "/when")
        for issue in reader.issues:
            yield Issue("PK006", where(f"{at}{issue.where}"), issue.message, issue.mend)
        if condition is not None:
            try:
                Program(condition)
            except RuleRefused as error:
                for issue in error.issues:
                    yield Issue("PK006", where(f"{at}/when"), issue.message, issue.mend)
        if branch.at not in KNOWN_PLACES and branch.at not in CATALOGUE:
            yield Issue(
                "PK015", where(f"{at}/finding/at"), f"{branch.at} is no place of a claim.", "Use a field path such as line.procedure_code."
            )
        if content.kind == "condition":
            if not branch.message:
                yield Issue("PK002", where(f"{at}/finding"), "The finding has no message.", "Say what is wrong, and on which line.")
            for name in PLACEHOLDER.findall(branch.message):
                known = CATALOGUE.get(name)
                if name not in ("line_number", "procedure_code") and (
                    known is None or known.spec.phi or (content.level == "claim" and known.spec.level != "claim")
                ):
                    yield Issue(
                        "PK013",
                        where(f"{at}/finding/message"),
                        f"{{{name}}} is not a fact that may be shown here.",
                        "Use {line_number}, {procedure_code} or a fact that is not PHI.",
                    )


def _check_windows(rule: RuleFolder) -> Iterator[Issue]:
    where, versions = rule.positions.where, rule.file.versions
    if not versions:
        yield Issue("PK005", where("/versions"), "The rule has no version.", "Write version 1.")
        return
    numbers = [version.version for version in versions]
    if numbers != sorted(set(numbers), reverse=True):
        yield Issue("PK005", where("/versions"), "Versions stand newest first, each number once.", "Reorder them.")
    periods = []
    for index, version in enumerate(versions):
        try:
            periods.append(EffectivePeriod(version.effective_from, version.effective_through))
        except ValueError as error:
            yield Issue("PK005", where(f"/versions/{index}"), f"{error}.", "Mend the dates.")
            return
    overlap = first_overlap(periods)
    if overlap is not None:
        earlier, later = overlap
        yield Issue(
            "PK005",
            where("/versions"),
            f"A version starts {later.first} while another runs through {earlier.last or 'no end'}.",
            f"End the earlier one on {later.first - timedelta(days=1)} or move the later one.",
        )


def _check_page(rule: RuleFolder) -> Iterator[Issue]:
    page = rule.positions.file.replace("rule.yaml", "rule.md") + ":1"
    if rule.page is None:
        yield Issue("PK009", page, "rule.md is missing.", f"Write it with the headings: {' / '.join(HEADINGS)}.")
        return
    found = tuple(line.removeprefix("## ").strip() for line in rule.page.splitlines() if line.startswith("## "))
    if found != HEADINGS:
        yield Issue("PK009", page, "The headings are not those every rule page has, in their order.", f"Use: {' / '.join(HEADINGS)}.")


def _check_cases(pack: Pack, rule: RuleFolder) -> Iterator[Issue]:
    shown = rule.positions.file.replace("rule.yaml", "cases.yaml") + ":1"
    cases = rule.cases
    if cases is None or rule.cases_positions is None:
        yield Issue("PK010", shown, "cases.yaml is missing.", "Write a case that fires and one that does not, for every version.")
        return
    yield from _canonical(rule.path / "cases.yaml", rule.cases_positions.file, plain(cases))
    if cases.rule != rule.file.id:
        yield Issue("PK010", rule.cases_positions.where("/rule"), "The cases are of another rule.", f"Write rule: {rule.file.id}.")
    names = [case.name for case in cases.cases]
    if len(set(names)) != len(names):
        yield Issue("PK010", rule.cases_positions.where("/cases"), "Two cases have one name.", "Name each for what it shows.")
    ids = {one.file.id for one in pack.rules}
    for index, case in enumerate(cases.cases):
        if not ids.issuperset(case.beside):
            where = rule.cases_positions.where(f"/cases/{index}/beside")
            yield Issue("PK010", where, "A case is judged beside a rule that the pack does not have.", "Name rules of this pack by id.")
    base = _base_day(rule)
    clean = [case.service_date or _first_day(case.lines) or base for case in cases.cases if not case.expect]
    fired = {expected.version for case in cases.cases for expected in case.expect}
    dates = {case.service_date for case in cases.cases}
    periods = [
        EffectivePeriod(one.effective_from, max(one.effective_through or date.max, one.effective_from)) for one in rule.file.versions
    ]
    for version, period in zip(rule.file.versions, periods, strict=True):
        if version.version not in fired:
            yield Issue(
                "PK010",
                rule.cases_positions.where("/cases"),
                f"No case expects version {version.version} to fire.",
                "Add one, naming the version.",
            )
        # A day on which no version applies shows where it begins or ends.
        if not any(day is None or day in period or all(day not in other for other in periods) for day in clean):
            yield Issue(
                "PK010",
                rule.cases_positions.where("/cases"),
                f"No case shows that version {version.version} does not fire.",
                f"Add one with `expect: []` and a service_date from {version.effective_from} on.",
            )
        for day, which in ((version.effective_from, "first"), (version.effective_through, "last")):
            if day is not None and day not in dates:
                yield Issue(
                    "PK010",
                    rule.cases_positions.where("/cases"),
                    f"No case has the {which} day of version {version.version}, {day}.",
                    f"Add a case with service_date: {day}.",
                )


def _base_day(rule: RuleFolder) -> date | None:
    """The day of service of the cases' base claim; None when it cannot be read, which running the cases tells."""
    root = rule.path.parent
    while root.name != "rules":
        root = root.parent
    try:
        data, _ = yaml_text.load((root.parent / (rule.cases.base if rule.cases else "")).read_text(encoding="utf-8"), "base")
        return _first_day(tuple(data["service_lines"]))
    except (OSError, PackFault, KeyError, TypeError):
        return None


def _first_day(lines: Sequence[dict[str, Any]]) -> date | None:
    given = next((line["service_from"] for line in lines if line.get("service_from")), None)
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        return None


def _check_precedence(packs: Iterable[Pack]) -> Iterator[Issue]:
    ranks = {rule.file.id: scope_rank(pack.file.scope) for pack in packs for rule in pack.rules}
    for pack in packs:
        for rule in pack.rules:
            for word in ("overrides", "disables", "extends"):
                for target in getattr(rule.file, word):
                    if target not in ranks:
                        yield Issue(
                            "PK014",
                            rule.positions.where(f"/{word}"),
                            f"No rule {target} is among the packs checked.",
                            "Check the packs together, or mend the id.",
                        )
                    elif not ranks[target] < ranks[rule.file.id]:
                        yield Issue(
                            "PK014",
                            rule.positions.where(f"/{word}"),
                            f"{target} is not of a broader scope.",
                            "Only a more specific rule displaces another.",
                        )


def _check_aliases(packs: Iterable[Pack]) -> Iterator[Issue]:
    """A name or id by which claims call a payer leads to one payer."""
    owners: dict[str, str] = {}
    for pack in packs:
        for index, payer in enumerate(pack.file.payers):
            for name in (payer.payer_id, *payer.aliases, *payer.clearinghouse_ids.values()):
                owner = owners.setdefault(spelled(name), payer.payer_id)
                if owner != payer.payer_id:
                    message = f"A name of {payer.payer_id} is a name of {owner} too."
                    yield Issue("PK021", pack.positions.where(f"/payers/{index}"), message, "Give each payer names of its own.")


def _canonical(path: Path, shown: str, data: dict[str, object]) -> Iterator[Issue]:
    if path.read_text(encoding="utf-8") != yaml_text.dump(data):
        yield Issue("PK011", f"{shown}:1", "The file is not in canonical form.", "Run `rules-service packs format`.")
