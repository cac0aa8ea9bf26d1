"""What the pack tools write: canonical files, the lock, the skeleton of a new rule, generated rule pages."""

from __future__ import annotations

import inspect
from datetime import date
from pathlib import Path

import msgspec

from rules_service.claim.parties import ClaimStruct
from rules_service.engine.policy import complete_branches
from rules_service.packs import yaml_text
from rules_service.packs.model import CasesFile, LockedVersion, LockFile, PackFile, RuleFile, plain
from rules_service.packs.read import Pack, RuleFolder, read_yaml
from rules_service.primitives.errors import Issue, PackFault
from rules_service.rules.kinds import KINDS


def format_pack(root: Path) -> list[Path]:
    """Rewrite every YAML file of a pack in canonical form; the files that changed."""
    changed = []
    root = root.resolve()
    kinds: list[tuple[Path, type[ClaimStruct]]] = [(root / "pack.yaml", PackFile)]
    kinds += [(path, RuleFile) for path in sorted(root.glob("rules/**/rule.yaml"))] + [
        (path, CasesFile) for path in sorted(root.glob("rules/**/cases.yaml"))
    ]
    for path, kind in kinds:
        structure, _ = read_yaml(path, root, kind)
        text = yaml_text.dump(plain(structure))
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in sorted(root.glob("claims/*.yaml")):
        data, _ = yaml_text.load(path.read_text(encoding="utf-8"), path.name)
        text = yaml_text.dump(data)
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def write_lock(pack: Pack) -> None:
    """Lock every version of the pack by its content."""
    versions = tuple(
        LockedVersion(rule=rule.file.id, version=version.version, sha256=content.sha256()) for rule, version, content in pack.contents()
    )
    lock = LockFile(versions=tuple(sorted(versions, key=lambda one: (one.rule, one.version))))
    (pack.root / "lock.yaml").write_text(yaml_text.dump(plain(lock)), encoding="utf-8")


def new_rule(root: Path, name: str, rule_id: str, day: date, template: Path) -> Path:
    """The skeleton of a condition rule, ready to be edited: it fires on its own example. The rule's folder."""
    target = root / "rules" / name
    if target.exists():
        raise PackFault(
            "The rule exists", [Issue("PK004", target.name, "A rule of this name stands in the pack already.", "Choose another name.")]
        )
    if not name.replace("-", "").isalnum() or name != name.lower():
        raise PackFault(
            "The name cannot be used",
            [Issue("PK003", name, "A rule's name is lower-case words joined by dashes.", "For instance visit-without-diagnosis.")],
        )
    target.mkdir(parents=True)
    for source in sorted(template.iterdir()):
        text = source.read_text(encoding="utf-8")
        for mark, value in (
            ("RULE-ID", rule_id),
            ("RULE-NAME", name),
            ("RULE-TITLE", name.replace("-", " ").capitalize()),
            ("RULE-DAY", day.isoformat()),
        ):
            text = text.replace(mark, value)
        (target / source.name).write_text(text, encoding="utf-8")
    for file_name, kind in (("rule.yaml", RuleFile), ("cases.yaml", CasesFile)):
        structure, _ = read_yaml(target / file_name, root, kind)
        (target / file_name).write_text(yaml_text.dump(plain(structure)), encoding="utf-8")
    return target


def rule_page(pack: Pack, rule: RuleFolder) -> str:
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
            predicts = branch.predicts
            shown = (
                "none"
                if predicts is None or predicts.carc is None
                else f"{predicts.group_code}-{predicts.carc}" + "".join(f" {code}" for code in predicts.rarcs)
            )
            lines.append(f"| `{branch.code}` | {branch.severity} | {shown} |")
    return "\n".join(lines) + "\n"


def write_pages(packs: list[Pack], folder: Path) -> list[Path]:
    """The pages of every rule, and an index; pages of rules that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    index = ["# Rules", "", "Generated from `payer_rules/` by `rules-service packs pages`.", ""]
    for pack in packs:
        index += [f"## {pack.file.title}", "", pack.file.description, ""]
        for rule in pack.rules:
            name = f"{rule.file.id}.md"
            written[folder / name] = rule_page(pack, rule)
            index.append(f"- [{rule.file.id}]({name}) {rule.file.title}")
        index.append("")
    written[folder / "README.md"] = "\n".join(index).rstrip() + "\n"
    for path in folder.glob("*.md"):
        if path not in written:
            path.unlink()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return sorted(written)


def kinds_page(packs: list[Pack]) -> str:
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
    return "\n".join(lines).rstrip() + "\n"
