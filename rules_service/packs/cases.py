"""`packs test`: every case of every rule, judged by the engine that judges claims in service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value
from rules_service.engine.decide import Decider, engine_decider
from rules_service.engine.evaluate import judge, settle
from rules_service.engine.policy import Policy, Publication, SliceCache, complete_branches
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.findings.finding import Finding
from rules_service.packs import yaml_text
from rules_service.packs.model import CaseFile, ExpectedFinding
from rules_service.packs.read import Pack, RuleFolder
from rules_service.primitives.errors import InputError, Issue, PackFault
from rules_service.primitives.money import Money
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.rules.condition import leaves, shown_leaf
from rules_service.rules.matching import leaf_truth, truth
from rules_service.rules.rule import Manifest

HOLD = frozenset({"reject", "deny_hard", "deny_soft"})


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: what went wrong, or nothing."""

    rule_id: str
    name: str
    where: str
    faults: tuple[str, ...]


def merge(base: Any, change: Any) -> Any:
    """RFC 7396 merge patch over text data: an empty text removes a key, lists replace lists."""
    if not isinstance(change, dict) or not isinstance(base, dict):
        return change
    merged = dict(base)
    for key, value in change.items():
        if value == "":
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def case_claim(root: Path, base: str, case: CaseFile) -> Claim:
    """The base claim with the case's changes; `lines` change the base's lines by position and add further ones like the first."""
    path = (root / base).resolve()
    if not path.is_relative_to(root.resolve()):
        raise PackFault(
            "The base claim is outside the pack", [Issue("case-failed", base, "A base claim is a file of its pack.", "Move it there.")]
        )
    text = path.read_text(encoding="utf-8")
    data, _ = yaml_text.load(text, base)
    data = merge(data, case.claim)
    if case.received_at is not None:
        data["received_at"] = case.received_at
    lines = list(data["service_lines"])
    if case.lines:
        template = lines[0]
        lines = [
            merge(lines[index] if index < len(lines) else {**template, "line_number": str(index + 1)}, change)
            for index, change in enumerate(case.lines)
        ]
    if case.service_date is not None:
        changed = {index for index, change in enumerate(case.lines) if "service_from" in change}
        lines = [
            line
            if index in changed
            else {**line, "service_from": case.service_date.isoformat(), "service_through": case.service_date.isoformat()}
            for index, line in enumerate(lines)
        ]
    data["service_lines"] = lines
    if "total_charge_amount" not in case.claim:
        data["total_charge_amount"] = str(Money(sum(Money.parse(line["charge_amount"]).cents for line in lines)))
    return canonical_claim(msgspec.convert(data, Claim, strict=False, dec_hook=decode_value))


def only(publication: Publication, *rule_ids: str) -> Publication:
    """The publication with these rules alone, so that a case shows its rule and no other."""
    manifest = publication.manifest
    kept = tuple(window for window in manifest.windows if window.rule_id in rule_ids)
    alone = Manifest(
        rule_set_id=manifest.rule_set_id,
        title=manifest.title,
        scope=manifest.scope,
        windows=kept,
        tables=manifest.tables,
        evidence=manifest.evidence,
    )
    return Publication(publication.rule_set_id, publication.number, alone.sha256(), alone, publication.contents)


def run_cases(pack: Pack, editions: Sequence[Edition], decide: Decider = engine_decider) -> Iterator[CaseResult]:
    """Every case of the pack. A preview rule is judged as if it were stable."""
    publication = pack.publication()
    catalog = EditionCatalog([*editions, *pack.editions()])
    for rule in pack.rules:
        if rule.cases is None or rule.cases_positions is None:
            continue
        for index, case in enumerate(rule.cases.cases):
            where = rule.cases_positions.where(f"/cases/{index}")
            try:
                claim = case_claim(pack.root, rule.cases.base, case)
                judgement = judge_alone(only(publication, rule.file.id, *case.beside), claim, catalog, decide)
                faults = tuple(_compare(rule, case, judgement))
            except (InputError, msgspec.ValidationError, OSError, KeyError) as error:
                faults = (f"the claim of the case cannot be read: {error}",)
            yield CaseResult(rule.file.id, case.name, where, faults)


def judge_alone(publication: Publication, claim: Claim, catalog: EditionCatalog, decide: Decider = engine_decider) -> Judgement:
    """The claim judged by one publication, preview rules included."""
    contents = {
        sha: (msgspec.structs.replace(content, stage="stable") if content.stage == "preview" else content)
        for sha, content in publication.contents.items()
    }
    staged = Publication(publication.rule_set_id, publication.number, publication.sha256, publication.manifest, contents)
    policy = Policy([staged], claim.claim_type, SliceCache(8))
    return judge(policy, payer_view(publication, claim), Lookups(catalog), HOLD, decide).judgement


def payer_view(publication: Publication, claim: Claim) -> ClaimView:
    """The claim as one of the payer it names, or of the pack's first when it names another."""
    payers, named = publication.manifest.scope.payer_ids, claim.payer.payer_id
    return ClaimView(claim, payers[0] if payers and named not in payers else named)


def untested(pack: Pack, editions: Sequence[Edition]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(conditions no case made true, conditions no case made false): what the cases do not show. A finding's whole condition is named
    `rule id vN finding code`, one test of it `rule id vN finding code: fact test value`."""
    publication = pack.publication()
    catalog = EditionCatalog([*editions, *pack.editions()])
    seen: dict[str, set[bool | None]] = {}
    cache = SliceCache()
    for rule in pack.rules:
        alone = only(publication, rule.file.id)
        for content in alone.contents.values():
            if content.rule_id == rule.file.id:
                versions = {window.version for window in alone.manifest.windows if alone.contents[window.sha256] is content}
                seen.update(
                    {f"{rule.file.id} v{version} {branch.code}": set() for branch in complete_branches(content) for version in versions}
                )
        for case in rule.cases.cases if rule.cases is not None else ():
            try:
                claim = case_claim(pack.root, rule.cases.base if rule.cases is not None else "", case)
            except (InputError, msgspec.ValidationError, OSError, KeyError):
                continue  # told as a failed case
            policy = Policy([only(publication, rule.file.id, *case.beside)], claim.claim_type, cache)
            gathered = settle(policy, payer_view(publication, claim), Lookups(catalog), HOLD, engine_decider)[0]
            for compiled, question in gathered.asked():
                if compiled.rule.content.rule_id != rule.file.id:
                    continue
                for branch, program in compiled.branches:
                    name = f"{rule.file.id} v{compiled.rule.version} {branch.code}"
                    seen.setdefault(name, set()).add(truth(program.condition, question.fact))
                    for leaf in leaves(program.condition):
                        seen.setdefault(f"{name}: {shown_leaf(leaf)}", set()).add(leaf_truth(leaf, question.fact(leaf.fact)))
    never_true = tuple(sorted(name for name, verdicts in seen.items() if True not in verdicts))
    never_false = tuple(sorted(name for name, verdicts in seen.items() if False not in verdicts))
    return never_true, never_false


def _compare(rule: RuleFolder, case: CaseFile, judgement: Judgement) -> Iterator[str]:
    rest = [finding for finding in judgement.findings if finding.rule_id == rule.file.id]
    unjudged = sorted({one.reason for one in judgement.not_evaluated if one.rule_id == rule.file.id})
    told = f"; not evaluated: {', '.join(unjudged)}" if unjudged else ""
    for expected in case.expect:
        match = next((finding for finding in rest if _matches(expected, finding)), None)
        if match is None:
            yield (
                f"expected {_shown(expected)}, and it did not fire"
                + (f"; fired: {', '.join(_told(one) for one in rest)}" if rest else "")
                + told
            )
        else:
            rest.remove(match)
    for finding in rest:
        yield f"fired without being expected: {_told(finding)}"
    if case.bypassed is not None and sorted(one.by for one in judgement.bypassed) != sorted(case.bypassed):
        yield f"bypassed by {sorted(one.by for one in judgement.bypassed)}, expected {sorted(case.bypassed)}"
    if case.not_evaluated is not None and unjudged != sorted(case.not_evaluated):
        yield f"not evaluated for {unjudged}, expected {sorted(case.not_evaluated)}"
    if not case.expect and case.not_evaluated is None and unjudged:
        yield "the rule was not judged" + told


def _matches(expected: ExpectedFinding, finding: Finding) -> bool:
    predicted = finding.predicted_denial
    tests = (
        (expected.code, finding.code),
        (expected.version, finding.rule_version),
        (expected.lines, finding.line_numbers),
        (expected.severity, finding.severity),
        (expected.carc, predicted.carc if predicted else None),
        (expected.rarcs, predicted.rarcs if predicted else None),
    )
    return all(wanted is None or wanted == found for wanted, found in tests)


def _shown(expected: ExpectedFinding) -> str:
    return " ".join(f"{name}={value}" for name in expected.__struct_fields__ if (value := getattr(expected, name)) is not None)


def _told(finding: Finding) -> str:
    return f"{finding.code} (version {finding.rule_version}, lines {list(finding.line_numbers)}, {finding.severity})"


def fault_of(results: Sequence[CaseResult]) -> PackFault | None:
    """All failed cases as one fault; None when every case passed."""
    failed = [result for result in results if result.faults]
    if not failed:
        return None
    issues = [
        Issue("case-failed", result.where, f"{result.rule_id} {result.name!r}: {fault}.", "Mend the rule or the case.")
        for result in failed
        for fault in result.faults
    ]
    return PackFault(f"{len(failed)} of {len(results)} cases failed", issues)
