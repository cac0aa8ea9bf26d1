"""What the pack tools write: canonical files, the lock, the skeleton of a new rule."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rules_service.claim.parties import ClaimStruct
from rules_service.packs import yaml_text
from rules_service.packs.model import CasesFile, LockedVersion, LockFile, PackFile, RuleFile, plain
from rules_service.packs.read import Pack, read_yaml
from rules_service.primitives.errors import Issue, PackFault


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
