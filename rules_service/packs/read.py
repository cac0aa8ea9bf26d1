"""A pack from its folder: files to structures, structures to rule versions, manifest and tables. Nothing is judged here but form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rules_service.claim.parties import ClaimStruct
from rules_service.engine.policy import Publication
from rules_service.findings.finding import Citation
from rules_service.packs import yaml_text
from rules_service.packs.model import CasesFile, LockFile, PackFile, RuleFile, Source, VersionFile
from rules_service.packs.tables import compile_table
from rules_service.packs.yaml_text import Positions
from rules_service.primitives.canonical import sha256_hex
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, PackFault, ReferenceFault
from rules_service.reference.lookups import Edition
from rules_service.reference.readers import Reader, reader_of
from rules_service.rules.rule import Manifest, PackTablePin, RuleVersionContent, Window

PACK_SUFFIXES = (".yaml", ".md", ".csv")
"""Files that belong to a pack; links and anything else are left out."""

T = TypeVar("T", bound=ClaimStruct)


@dataclass(slots=True)
class RuleFolder:
    """One rule's folder, read."""

    path: Path
    file: RuleFile
    positions: Positions
    cases: CasesFile | None = None
    cases_positions: Positions | None = None
    page: str | None = None


@dataclass(slots=True)
class Pack:
    """A pack, read."""

    root: Path
    file: PackFile
    positions: Positions
    rules: list[RuleFolder] = field(default_factory=list)
    tables: dict[str, bytes] = field(default_factory=dict)
    lock: LockFile = field(default_factory=LockFile)

    def citation(self, source: str, locator: str | None, effective_from: date) -> Citation | None:
        """A source of the pack as a finding shows it."""
        found = next((one for one in self.file.sources if one.id == source), None)
        if found is None:
            return None
        return Citation(
            title=found.title,
            url=found.url,
            locator=locator,
            effective_from=effective_from,
            evidence=found.evidence or self.file.evidence,
        )

    def cited(self, version: VersionFile) -> list[Source]:
        """The pack's sources a version cites, in its order. When they were verified is no part of the version's content."""
        return [source for one in version.citations for source in self.file.sources if source.id == one.source]

    def contents(self) -> Iterator[tuple[RuleFolder, VersionFile, RuleVersionContent]]:
        """Every version of every rule, newest first within a rule."""
        for rule in self.rules:
            for version in rule.file.versions:
                yield rule, version, self.content(rule.file, version)

    def content(self, rule: RuleFile, version: VersionFile) -> RuleVersionContent:
        """The immutable content of a version."""
        scope = rule.scope
        citations = tuple(
            found for one in version.citations if (found := self.citation(one.source, one.locator, version.effective_from)) is not None
        )
        return RuleVersionContent(
            rule_id=rule.id,
            name=rule.name,
            title=rule.title,
            kind=rule.kind,
            level=rule.level,
            category=rule.category,
            stage=rule.stage,
            policy_date=(scope.policy_date if scope is not None and scope.policy_date is not None else "service_date"),
            required=rule.required,
            claim_types=scope.claim_types if scope is not None else (),
            parameters=version.parameters,
            when=version.when,
            finding=version.finding,
            findings=version.findings,
            citations=citations,
            override_reasons=rule.override_reasons,
            overrides=rule.overrides,
            extends=rule.extends,
            disables=rule.disables,
            reason=version.reason,
        )

    def publication(self, number: int = 0) -> Publication:
        """The pack as a publication, and the manifest that freezes it."""
        contents = {content.sha256(): content for _, _, content in self.contents()}
        windows = tuple(
            Window(
                rule_id=content.rule_id,
                version=version.version,
                sha256=content.sha256(),
                effective_from=version.effective_from,
                effective_through=version.effective_through,
                verified_on=cited[0].verified_on if (cited := self.cited(version)) else None,
                reverify_by=min((one.reverify_by for one in cited if one.reverify_by is not None), default=None),
            )
            for _, version, content in self.contents()
        )
        ordered = tuple(sorted(windows, key=lambda window: (window.rule_id, window.effective_from)))
        tables = tuple(PackTablePin(name=name, sha256=sha256_hex(blob)) for name, blob in sorted(self.tables.items()))
        manifest = Manifest(
            rule_set_id=self.file.id,
            title=self.file.title,
            scope=self.file.scope,
            windows=ordered,
            tables=tables,
            evidence=self.file.evidence,
        )
        return Publication(self.file.id, number, manifest.sha256(), manifest, contents)

    def editions(self) -> list[Edition]:
        """The pack's own tables, which answer for every day."""
        return [pack_edition(name, sha256_hex(blob), blob) for name, blob in sorted(self.tables.items())]

    def files(self) -> dict[str, bytes]:
        """Every file of the pack by its path in it: what a load stores and an export writes back."""
        found = sorted(path for path in self.root.rglob("*") if path.suffix in PACK_SUFFIXES and path.is_file() and not path.is_symlink())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}


def pack_edition(name: str, sha256: str, blob: bytes) -> Edition:
    """A pack table as an edition without end."""
    reader: Reader | None = None

    def opened() -> Reader:
        nonlocal reader
        if reader is None:
            reader = reader_of(blob)
        return reader

    return Edition(name, sha256[:12], sha256, EffectivePeriod(date.min), 0, opened)


def convert(data: Any, kind: type[T], positions: Positions) -> T:
    """Text data to a structure; PackFault names the line of the fault."""
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
        raise PackFault(
            "The file does not fit its schema",
            [Issue("PK002", positions.where(pointer), f"{what}.", f"See payer_rules/schema for {kind.__name__}.")],
        ) from None


def read_yaml(path: Path, root: Path, kind: type[T]) -> tuple[T, Positions]:
    """A YAML file as a structure."""
    shown = path.relative_to(root.parent).as_posix()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackFault(
            "A file is missing",
            [Issue("PK002", shown, "The file does not exist.", "Write it; `packs new-rule` makes the skeleton of a rule.")],
        ) from None
    except UnicodeDecodeError:
        raise PackFault("A file is not text", [Issue("PK001", shown, "The file is not UTF-8.", "Save it as UTF-8.")]) from None
    data, positions = yaml_text.load(text, shown)
    return convert(data, kind, positions), positions


def read_pack(root: Path) -> Pack:
    """The pack in a folder; PackFault with every fault of form."""
    root = root.resolve()
    file, positions = read_yaml(root / "pack.yaml", root, PackFile)
    pack = Pack(root, file, positions)
    issues: list[Issue] = []
    for table in file.tables:
        try:
            path = (root / table.file).resolve()
            if not path.is_relative_to(root) or path.suffix != ".csv":
                issues.append(Issue("PK017", positions.where("/tables"), "A table is a .csv file inside its pack.", "Move it there."))
                continue
            text, shown = path.read_text(encoding="utf-8"), path.relative_to(root.parent).as_posix()
            if table.partial and table.kind != "code_classes":
                mend = "Leave `partial` out, or say what is not known in the table's own terms."
                issues.append(Issue("PK017", positions.where("/tables"), "Only a table of code classes can be partial.", mend))
            if table.excerpt and (table.partial or table.kind == "code_pairs"):
                mend = "Leave `excerpt` out."
                issues.append(Issue("PK017", positions.where("/tables"), "A table of pairs, or a partial one, is no excerpt.", mend))
                continue
            pack.tables[table.name] = compile_table(table.kind, text, shown, table.partial, table.excerpt)
        except PackFault as fault:
            issues.extend(fault.issues)
        except UnicodeDecodeError:
            issues.append(Issue("PK017", positions.where("/tables"), f"The file of {table.name} is not UTF-8.", "Save it as UTF-8."))
        except FileNotFoundError:
            issues.append(
                Issue("PK017", positions.where("/tables"), f"The file {table.file} does not exist.", "Write it or remove the table.")
            )
        except ReferenceFault as error:
            issues.extend(Issue("PK017", issue.where, issue.message, issue.mend) for issue in error.issues)
    for path in sorted(root.glob("rules/**/rule.yaml")):
        try:
            rule, rule_positions = read_yaml(path, root, RuleFile)
            folder = RuleFolder(path.parent, rule, rule_positions)
            cases = path.parent / "cases.yaml"
            if cases.exists():
                folder.cases, folder.cases_positions = read_yaml(cases, root, CasesFile)
            page = path.parent / "rule.md"
            folder.page = page.read_text(encoding="utf-8") if page.exists() else None
            pack.rules.append(folder)
        except PackFault as fault:
            issues.extend(fault.issues)
    lock = root / "lock.yaml"
    if lock.exists():
        pack.lock, _ = read_yaml(lock, root, LockFile)
    if issues:
        raise PackFault(f"{len(issues)} faults in the pack {file.id}: nothing of it is used", issues)
    return pack


def find_packs(folder: Path) -> list[Path]:
    """Folders below that hold a pack.yaml."""
    return sorted(path.parent for path in folder.glob("*/pack.yaml"))
