"""Fixes that were tried, and the smallest set of changes that makes a claim clean.

A patch is offered only when the claim with it, judged again, has lost the finding and gained none. The smallest clean change is found by
iterative deepening over the remedies of every finding that stands: the remedy of one may take another away too. A claim reached in two
orders of changes is looked at once. Work is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value, encode_json
from rules_service.engine.remedies import remedies
from rules_service.findings.evaluation import Judgement
from rules_service.findings.finding import SEVERITY_RANK, Finding, FindingStruct, Fix, FixClass, PatchOperation
from rules_service.primitives.codes import eleven_digits, without_punctuation
from rules_service.primitives.errors import InputError

MAX_CHANGES = 5
MAX_JUDGEMENTS = 300
Judge = Callable[[Claim], Judgement]
SearchOutcome = Literal["found", "none", "gave_up"]
"""Found; none of at most MAX_CHANGES remedies we know; or not found within MAX_JUDGEMENTS, which leaves open whether there are any."""


class TriedFix(FindingStruct, frozen=True):
    """A fix that was tried: with it the finding is gone and no other has come."""

    finding_id: str
    label: str
    class_: FixClass = msgspec.field(name="class")
    patch: tuple[PatchOperation, ...]


class CleanChange(FindingStruct, frozen=True):
    """The fewest changes, in order, after which the claim is clean. Each patch is of the claim as the changes before it leave it."""

    changes: tuple[TriedFix, ...]


def tried_fixes(claim: Claim, judgement: Judgement, judge: Judge) -> tuple[TriedFix, ...]:
    """Every remedy of every lead finding that takes its finding away and raises none."""
    before = judgement.findings
    found = []
    for finding in judgement.findings:
        if finding.suppressed_by is not None:
            continue
        for fix in remedies(claim, finding):
            changed = patched(claim, fix)
            if changed is None:
                continue
            after = judge(changed).findings
            if not any(_is_of(one, finding) for one in after) and all(any(_is_of(one, known) for known in before) for one in after):
                found.append(_tried(finding, fix))
    return tuple(found)


def _is_of(one: Finding, known: Finding) -> bool:
    """Whether a finding is one that was there before: of the same rule and code, on lines it was on, some of which may be gone."""
    same = (one.rule_id, one.code) == (known.rule_id, known.code)
    return one.finding_key == known.finding_key or (same and bool(one.line_numbers) and set(one.line_numbers) <= set(known.line_numbers))


def smallest_clean_change(claim: Claim, judgement: Judgement, judge: Judge) -> tuple[CleanChange | None, SearchOutcome]:
    """At most MAX_CHANGES changes that make the claim clean, and how the search for them ended."""
    search = _Search(judge)
    for depth in range(1, MAX_CHANGES + 1):
        found = search.within(claim, judgement, depth)
        if found is not None:
            return CleanChange(changes=tuple(found)), "found"
        if search.spent >= MAX_JUDGEMENTS:
            return None, "gave_up"
        if not search.is_cut:
            break
    return None, "none"


class _Search:
    """Depth-first within a depth. `is_cut` says that a deeper search could find more."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._judged: dict[bytes, Judgement] = {}
        self._seen: dict[bytes, int] = {}
        self.spent = 0
        self.is_cut = False

    def within(self, claim: Claim, judgement: Judgement, depth: int) -> list[TriedFix] | None:
        self.is_cut = False
        self._seen.clear()
        return self._from(claim, judgement, depth)

    def _from(self, claim: Claim, judgement: Judgement, depth: int) -> list[TriedFix] | None:
        standing = [one for one in judgement.findings if SEVERITY_RANK[one.severity] >= SEVERITY_RANK["warn"] and one.suppressed_by is None]
        if not standing:
            return [] if judgement.outcome == "clean" else None
        if depth == 0:
            self.is_cut = True
            return None
        for finding in standing:
            for fix in remedies(claim, finding):
                changed = patched(claim, fix)
                if changed is None:
                    continue
                key = encode_json(changed)
                if self._seen.get(key, -1) >= depth - 1:
                    continue  # looked at with as many changes left
                self._seen[key] = depth - 1
                found = self._judgement(changed, key)
                rest = None if found is None else self._from(changed, found, depth - 1)
                if rest is not None:
                    return [_tried(finding, fix), *rest]
        return None

    def _judgement(self, claim: Claim, key: bytes) -> Judgement | None:
        """The claim, judged; None when that takes more work than is allowed."""
        known = self._judged.get(key)
        if known is None and self.spent < MAX_JUDGEMENTS:
            self.spent += 1
            known = self._judged[key] = self._judge(claim)
        return known


def _tried(finding: Finding, fix: Fix) -> TriedFix:
    return TriedFix(finding_id=finding.finding_id, label=fix.label, class_=fix.class_, patch=fix.patch or ())


def patched(claim: Claim, fix: Fix) -> Claim | None:
    """The claim with a fix's patch (RFC 6902, and the named transformations); None when it gives no claim."""
    document = msgspec.json.decode(encode_json(claim))
    try:
        for operation in fix.patch or ():
            _apply(document, operation)
        return canonical_claim(msgspec.convert(document, Claim, dec_hook=decode_value))
    except (InputError, msgspec.ValidationError, KeyError, IndexError, ValueError):
        return None


def _apply(document: Any, operation: PatchOperation) -> None:
    value = operation.value
    if isinstance(operation.from_, str):
        holder, source = _place(document, operation.from_)
        value = holder.pop(source) if operation.op == "move" else holder[source]
    held, place = _place(document, operation.path)
    if operation.op == "remove":
        del held[place]
    elif operation.transformation is not None:
        held[place] = _TRANSFORMATIONS[operation.transformation](held[place])
    elif operation.op != "replace" and isinstance(held, list):
        held.insert(place, value)
    else:
        held[place] = value


def _place(document: Any, pointer: str) -> tuple[Any, Any]:
    """(the object or list, the key or index in it) a JSON Pointer names."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parents:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document, int(last) if isinstance(document, list) else last


def _in_eleven_digits(text: str) -> str:
    found = eleven_digits(text)
    if found is None:
        raise ValueError("not an NDC")
    return found


_TRANSFORMATIONS: dict[str, Callable[[str], str]] = {"remove_punctuation": without_punctuation, "ndc_to_eleven_digits": _in_eleven_digits}
