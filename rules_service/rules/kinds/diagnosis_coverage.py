"""`diagnosis_coverage`: medical necessity by NCD, LCD and billing article, or by a payer's medical policy (domain.md 2.6).

`policies` says which policy and code group holds a procedure code, where (MAC jurisdiction) and when; `diagnoses` says which diagnoses
support that group, by code or prefix. A group may need a diagnosis of a second list besides (`secondary`); a policy may also name
diagnoses that do not support the service (`excluded`). GA says that a signed notice moves the liability to the patient; a line with GY or GZ
asks for its denial, whatever the diagnosis, and is not judged (CR 7228). Where no policy covers the code nothing is judged.

Key of the `diagnoses` table: policy id, `/`, group. Values: `code` (with or without dot, `*` at the end for a prefix) and `list`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Fix, PatchOperation
from rules_service.primitives.codes import shown_code
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.conditional_rows import state_of_service

POLICY_COLUMNS = ("policy", "group", "jurisdictions", "title")
DIAGNOSIS_COLUMNS = ("diagnosis", "list")
LISTS = ("supports", "secondary", "excluded")
ASKS_FOR_DENIAL = frozenset({"GY", "GZ"})
BILLED = ("principal", "secondary")
"""Types of diagnosis of an institutional claim that can support a service."""
SHOWN = 12
"""Supporting diagnoses a finding lists."""


class DiagnosisCoverageParameters(Parameters, frozen=True):
    """`basis` names the finding: lcd, ncd or policy. `pointers`: whether any diagnosis of the line counts, or its first only.
    `states` gives the MAC jurisdiction of a state, where the claim does not (`context.mac_jurisdiction`); a state it does not name is of
    another jurisdiction than the policies'."""

    policies: str
    diagnoses: str
    basis: Literal["lcd", "ncd", "policy"]
    pointers: Literal["any", "first"] = "any"
    states: dict[str, str] = {}
    honours_liability_modifiers: bool = False


@dataclass(frozen=True, slots=True)
class _Group:
    """One code group of a policy: its diagnoses by list."""

    policy: str
    group: str
    title: str
    lists: dict[str, tuple[str, ...]]


class DiagnosisCoverageKind(RuleKind[DiagnosisCoverageParameters]):
    """One candidate a line and policy that covers its code: the group that fits best."""

    name = "diagnosis_coverage"
    title = "Diagnoses that support a service"
    levels = ("line",)
    judges_void = False
    semantics = 2  # GY and GZ, other states, pairs of diagnoses
    parameters = DiagnosisCoverageParameters
    specs = fact_specs(
        ("necessity.supported", "flag", "A diagnosis of the line supports the service (and one of the second list, where there is one)."),
        ("necessity.supported_elsewhere", "flag", "A diagnosis on the claim that the line does not point to would support it."),
        ("necessity.excluded", "flag", "A diagnosis of the line is among those that do not support it."),
        ("necessity.in_jurisdiction", "flag", "The policy is of the MAC that judges the claim; unknown when that is not known."),
        ("necessity.has_signed_notice", "flag", "The line carries GA."),
    )

    def table_names(self, parameters: DiagnosisCoverageParameters) -> tuple[str, ...]:
        return (parameters.policies, parameters.diagnoses)

    def code_tables(self, parameters: DiagnosisCoverageParameters) -> tuple[str, ...]:
        return (parameters.policies, parameters.diagnoses)

    def passing_modifiers(self, parameters: DiagnosisCoverageParameters) -> tuple[str, ...]:
        return tuple(sorted(ASKS_FOR_DENIAL)) if parameters.honours_liability_modifiers else ()

    def branches(self, parameters: DiagnosisCoverageParameters) -> tuple[Branch, ...]:
        here = {"fact": "necessity.in_jurisdiction", "is": "true"}
        unsupported = [here, {"fact": "necessity.supported", "is": "false"}]
        line = "Line {line_number} {code}: "
        listed = "{policy} group {group} lists the diagnoses that support it"
        common: dict[str, Any] = {"category": "clinical", "at": "line.diagnosis_pointers"}
        document = fix("If the record supports a listed diagnosis, code it; do not code what it does not say", "needs_documentation")
        notice = fix("Before the service, have the patient sign an advance notice; it cannot be given afterwards", "needs_documentation")

        found = []
        if parameters.honours_liability_modifiers:
            found += [
                Branch(
                    code="necessity.patient_liable", title="Not supported, with a signed notice", severity="warn",
                    when={"all": [*unsupported, {"fact": "necessity.has_signed_notice", "is": "true"}]},
                    message=line + listed + "; none is billed, and GA moves the liability to the patient.",
                    fixes=(fix("Keep the signed notice", "needs_documentation"),), **common,
                ),
            ]  # fmt: skip
        found += [
            Branch(
                code="necessity.excluded_diagnosis", title="Diagnosis the policy names as not supporting", severity="deny_soft",
                when={"all": [here, {"fact": "necessity.excluded", "is": "true"}]},
                message=line + "{policy} names the diagnosis as one that does not support the service.", fixes=(document, notice), **common,
            ),
            Branch(
                code="necessity.pointer", title="Supporting diagnosis is not pointed to", severity="deny_soft",
                when={"all": [*unsupported, {"fact": "necessity.supported_elsewhere", "is": "true"}]},
                message=line + listed + "; the claim has it, and the line does not point to diagnosis {elsewhere}{first}.",
                next_action="correct_claim", **common,
            ),
            Branch(
                code=f"necessity.{parameters.basis}", title="No diagnosis that supports the service", severity="deny_soft", when={"all": unsupported},
                message=line + listed + "; none is billed.", fixes=(document, notice),
                override_reasons=("documentation_supports_necessity", "payer_confirmed"), **common,
            ),
        ]  # fmt: skip
        return tuple(found)

    def derive(self, parameters: DiagnosisCoverageParameters, judged: Judged) -> Iterator[Candidate]:
        passing = frozenset(self.passing_modifiers(parameters))
        for line in judged.lines:
            if line.code is None or line.date_from is None or not passing.isdisjoint(line.modifiers):
                continue
            policies = judged.lookups.codes(parameters.policies, line.date_from)
            diagnoses = judged.lookups.codes(parameters.diagnoses, line.date_from)
            why = next((one for one in (policies, diagnoses) if isinstance(one, Unknown)), None)
            if isinstance(policies, Unknown) or isinstance(diagnoses, Unknown):
                yield Candidate(lines=(line,), facts=dict.fromkeys(self.specs, why))
                return
            day = line.date_from.toordinal()
            rows = policies.rows_on(line.code, day)
            by_policy: dict[str, list[Entry]] = {}
            for row in rows:
                by_policy.setdefault(str(row.values[policies.column("policy")]), []).append(row)
            for policy, groups in sorted(by_policy.items()):
                candidate = self._candidate(parameters, line, policy, groups, policies, diagnoses, day)
                if candidate is not None:
                    yield candidate

    def _candidate(
        self, parameters: DiagnosisCoverageParameters, line: LineView, policy: str, rows: list[Entry], policies: CodeTable, diagnoses: CodeTable, day: int
    ) -> Candidate | None:  # fmt: skip
        here = _in_jurisdiction(parameters, line, rows, policies)
        if here is False:
            return None
        groups = [_group(row, policies, diagnoses, day) for row in rows]
        is_institutional = line.claim.claim_type == "institutional"
        every = tuple(one.code for one in line.claim.diagnoses if not is_institutional or one.type in BILLED)
        pointed = every if is_institutional else line.diagnosis_codes
        mine = pointed[:1] if parameters.pointers == "first" else pointed
        best = max(groups, key=lambda group: (_supports(group, mine), _supports(group, every), -groups.index(group)))
        supporting = sorted({code for group in groups for code in group.lists["supports"]})
        elsewhere = _not_pointed(line, best, mine)
        facts: dict[str, FactValue] = {
            "necessity.supported": any(_supports(group, mine) for group in groups),
            "necessity.supported_elsewhere": any(_supports(group, every) for group in groups),
            "necessity.excluded": any(_listed(code, group.lists["excluded"]) for group in groups for code in mine),
            "necessity.in_jurisdiction": here,
            "necessity.has_signed_notice": "GA" in line.modifiers,
        }
        used = [position for position, one in enumerate(line.claim.diagnoses) if one.code in mine]
        return Candidate(
            lines=(line,),
            facts=facts,
            place=Place("claim.diagnoses") if is_institutional else Place("line.diagnosis_pointers", line.index, line.number),
            key=policy,
            qualifier=parameters.basis,
            causes=tuple(f"diagnosis:{position}" for position in used),
            tell=partial(
                Telling,
                params={
                    "line_number": str(line.number),
                    "code": line.code or "",
                    "policy": best.title or policy,
                    "group": best.group or "1",
                    "elsewhere": " and ".join(map(str, elsewhere)),
                    "first": " first" if parameters.pointers == "first" else "",
                },
                shown={"policy": policy, "group": best.group, "service_date": line.date_from.isoformat() if line.date_from else None},
                expected={"diagnoses_any_of": supporting[:SHOWN], "diagnoses_listed": len(supporting)},
                actual={"diagnoses": list(map(shown_code, mine))},
                fixes=_pointer_fix(line, elsewhere),
            ),
        )


def _not_pointed(line: LineView, group: _Group, mine: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of the diagnoses that would support the line and that do not yet: one, or the pair that lacks least where the group has a
    second list."""
    known = line.claim.diagnoses
    first = [one for one in known if _listed(one.code, group.lists["supports"])]
    if not group.lists["secondary"]:
        return next(((one.sequence,) for one in first if one.code not in mine), ())
    pairs = [(one, other) for one in first for other in known if other is not one and _listed(other.code, group.lists["secondary"])]
    lacking = [tuple(one.sequence for one in pair if one.code not in mine) for pair in pairs]
    return min(lacking, key=len, default=())


def _pointer_fix(line: LineView, sequences: tuple[int, ...]) -> tuple[Fix, ...]:
    """Pointing to the supporting diagnoses of the claim, where the line has room for more pointers."""
    pointers = line.line.diagnosis_pointers
    value = [*sequences, *(one for one in pointers if one not in sequences)]
    if not sequences or len(value) > 4 or line.claim.claim_type == "institutional":
        return ()
    patch = (PatchOperation(op="add", path=f"/service_lines/{line.index}/diagnosis_pointers", value=value),)
    return (
        Fix(
            label="Point the line to the supporting diagnosis if it was the reason for the service",
            class_="needs_documentation",
            patch=patch,
        ),
    )


def _group(row: Entry, policies: CodeTable, diagnoses: CodeTable, day: int) -> _Group:
    policy, group, _, title = (str(row.values[policies.column(name)]) for name in POLICY_COLUMNS)
    lists: dict[str, list[str]] = {name: [] for name in LISTS}
    for entry in diagnoses.rows_of(f"{policy}/{group}"):
        if entry.first_day <= day <= entry.last_day:
            code, name = (str(entry.values[diagnoses.column(column)]) for column in DIAGNOSIS_COLUMNS)
            lists[name].append(code.replace(".", ""))
    return _Group(policy, group, title, {name: tuple(codes) for name, codes in lists.items()})


def _listed(code: str, codes: tuple[str, ...]) -> bool:
    bare = code.replace(".", "")
    return any(bare == one or (one.endswith("*") and bare.startswith(one[:-1])) for one in codes)


def _supports(group: _Group, codes: tuple[str, ...]) -> bool:
    """A supporting diagnosis, and, where the group has a second list, another diagnosis of that."""
    first = [code for code in codes if _listed(code, group.lists["supports"])]
    if not group.lists["secondary"]:
        return bool(first)
    return any(_listed(other, group.lists["secondary"]) for code in first for other in codes if other != code)


def _in_jurisdiction(parameters: DiagnosisCoverageParameters, line: LineView, rows: list[Entry], policies: CodeTable) -> bool | Unknown:
    wanted = {one for row in rows for one in str(row.values[policies.column("jurisdictions")]).split()}
    if not wanted:
        return True
    context = line.claim.context
    mine = context.mac_jurisdiction if context is not None else None
    state = state_of_service(line)
    if mine is None and state and parameters.states:
        return parameters.states.get(state) in wanted
    return Unknown("context_not_supplied", "context.mac_jurisdiction") if mine is None else mine in wanted
