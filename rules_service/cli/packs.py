"""`rules-service packs`: check, format, test, lock, load, export, new-rule, pages."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from rules_service.cli.common import opened, told
from rules_service.packs.analysis import analyse
from rules_service.packs.cases import CaseResult, fault_of, run_cases
from rules_service.packs.check import check_packs
from rules_service.packs.pages import shipped_crosswalk, write_pages
from rules_service.packs.predictions import check_crosswalk, check_predictions
from rules_service.packs.read import Pack, find_packs, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.packs.write import format_pack, new_rule, write_lock
from rules_service.primitives.errors import PackFault
from rules_service.reference.lookups import EditionCatalog
from rules_service.services.acting import Actor
from rules_service.services.load_packs import export_pack
from rules_service.services.parts import build_parts
from rules_service.services.propose_packs import load_or_propose
from rules_service.services.settings import load_settings

app = typer.Typer(help="Rule packs.", no_args_is_help=True)
ROOT = Path("payer_rules")
Folder = Annotated[Path, typer.Option("--root", help="Folder of packs", exists=True, file_okay=False)]
Names = Annotated[list[str] | None, typer.Argument(help="Pack folders below the root; all when none is named")]


def _folders(root: Path, names: list[str] | None) -> list[Path]:
    return [root / name for name in names] if names else find_packs(root)


def _packs(root: Path, names: list[str] | None) -> list[Pack]:
    return [read_pack(folder) for folder in _folders(root, names)]


@app.command("check")
def check(names: Names = None, root: Folder = ROOT) -> None:
    """Lint packs: every fault with its code, file, line and mend. All packs are read, so that references between them are seen."""
    with told():
        packs = _packs(root, None)
        chosen = {read.root.name for read in packs} if not names else set(names)
        editions, today = EditionCatalog(sample_editions(root / "reference_samples")), datetime.now(UTC).date()
        issues = [*check_packs(packs), *check_predictions(packs, editions, today)]
        issues = [issue for issue in issues if issue.where.split("/")[0] in chosen] + list(check_crosswalk(editions, today))
        if issues:
            raise PackFault(f"{len(issues)} faults", issues)
    print(f"{len(chosen)} packs, no fault")


@app.command("analyse")
def analyse_(names: Names = None, root: Folder = ROOT) -> None:
    """Look for rules that cannot fire, repeat or contradict each other, gaps in their dates, and unknown codes. Remarks, not faults."""
    with told():
        packs = _packs(root, None)
        editions = EditionCatalog(sample_editions(root / "reference_samples"))
        remarks = [
            remark
            for pack in packs
            if not names or pack.root.name in names
            for remark in analyse(pack, [one for one in packs if one is not pack], editions)
        ]
    for remark in remarks:
        print(f"{remark.where}: {remark.code}: {remark.message}")
    print(f"{len(remarks)} remarks")


@app.command("format")
def format_(names: Names = None, root: Folder = ROOT) -> None:
    """Write every YAML file in its canonical form."""
    with told():
        changed = [path for folder in _folders(root, names) for path in format_pack(folder)]
    for path in changed:
        print(path)
    print(f"{len(changed)} files changed")


@app.command("test")
def test_(names: Names = None, root: Folder = ROOT) -> None:
    """Run every case of every rule."""
    results: list[CaseResult] = []
    with told():
        editions = sample_editions(root / "reference_samples")
        for pack in _packs(root, names):
            results.extend(run_cases(pack, editions))
        fault = fault_of(results)
        if fault is not None:
            raise fault
    print(f"{len(results)} cases passed")


@app.command("lock")
def lock(names: Names = None, root: Folder = ROOT) -> None:
    """Lock every version by its content; from then on an edited version fails the check."""
    with told():
        for pack in _packs(root, names):
            write_lock(pack)
            print(pack.root / "lock.yaml")


@app.command("load")
def load(names: Names = None, root: Folder = ROOT) -> None:
    """Publish packs that are not live yet, all under one epoch or none; changes of live ones become change requests for review."""
    settings = load_settings()
    parts = build_parts(settings)
    try:
        with told():
            actor = Actor(settings.tenant_id, f"cli:{getpass.getuser()}", frozenset())
            loaded, proposed = load_or_propose(
                parts.database, parts.drafts, parts.change_control, actor, _folders(root, names), root / "reference_samples"
            )
    finally:
        parts.close()
    for one in proposed:
        print(f"{one.rule_set_id} is live: its change awaits review as {one.change_request_id}")
    if loaded.epoch is not None:
        print(f"published {', '.join(loaded.published)} under epoch {loaded.epoch}")
    if loaded.unchanged:
        print(f"unchanged {', '.join(loaded.unchanged)}")


@app.command("export")
def export(
    rule_set: Annotated[str, typer.Argument(help="Rule set id")], target: Annotated[Path, typer.Argument(help="Folder to write to")]
) -> None:
    """Write the files of the latest publication, byte for byte as they were loaded."""
    with opened() as (settings, database):
        count = export_pack(database, settings.tenant_id, rule_set, target)
    print(f"{count} files written to {target}")


@app.command("new-rule")
def new_rule_(
    pack: Annotated[str, typer.Argument(help="Pack folder")],
    name: Annotated[str, typer.Argument(help="The defect, as lower-case words joined by dashes")],
    rule_id: Annotated[str, typer.Argument(help="An id never used before")],
    effective_from: Annotated[str, typer.Option(help="First day it applies, YYYY-MM-DD")] = "",
    root: Folder = ROOT,
) -> None:
    """Write the skeleton of a rule that passes its check and fires in its own case; edit it from there."""
    with told():
        day = date.fromisoformat(effective_from) if effective_from else date.today().replace(month=1, day=1)  # noqa: DTZ011  a day, chosen by the author
        folder = new_rule(root / pack, name, rule_id, day, root / "_template")
    print(f"{folder}\nEdit rule.yaml, cases.yaml and rule.md, then: packs check, packs test, packs load")


@app.command("pages")
def pages(target: Annotated[Path, typer.Argument(help="Folder of the generated pages")] = Path("docs"), root: Folder = ROOT) -> None:
    """Write the documentation page of every rule, finding code and kind, and their indexes."""
    with told():
        written = write_pages(_packs(root, None), shipped_crosswalk(root / "reference_samples"), target)
    print(f"{written} pages in {target}")
