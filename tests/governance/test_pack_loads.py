"""`packs load` as a client of change control: a first load publishes, a change of what is live waits for review."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules_service.primitives.errors import PackFault, Refused
from rules_service.services.load_packs import export_pack
from rules_service.services.parts import Parts, build_parts
from rules_service.services.propose_packs import load_or_propose
from rules_service.services.settings import Settings
from rules_service.storage import catalog
from rules_service.storage.database import Database
from tests.governance.people import PUBLISHER, REVIEWER, TENANT, actor
from tests.support.governance import RULE_SET
from tests.support.server import PACKS

ADMIN = actor("cli:admin", "rule_author")


@pytest.fixture
def parts(database: Database, tmp_path: Path) -> Iterator[Parts]:
    opened = build_parts(Settings(database_url=database.url, data_dir=tmp_path, tenant_id=TENANT))
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "packs" / RULE_SET
    shutil.copytree(PACKS / RULE_SET, target)
    return target


def load(parts: Parts, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    loaded, proposed = load_or_propose(parts.database, parts.drafts, parts.change_control, ADMIN, [folder], PACKS / "reference_samples")
    return loaded.published, loaded.unchanged, [one.change_request_id for one in proposed]


def rename(folder: Path, title: str) -> None:
    path = folder / "pack.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(f"title: {title}\n" if line.startswith("title:") else line for line in lines))


def numbers(parts: Parts) -> list[int]:
    with parts.database.reading() as connection:
        return [record.number for record in catalog.publications_of(connection, TENANT, RULE_SET)]


def test_a_first_load_publishes_and_loading_the_same_again_does_nothing(parts: Parts, folder: Path) -> None:
    assert load(parts, folder) == ((RULE_SET,), (), [])
    assert load(parts, folder) == ((), (RULE_SET,), [])
    assert numbers(parts) == [1]


def test_a_change_of_what_is_live_waits_for_somebody_else_s_review(parts: Parts, folder: Path, tmp_path: Path) -> None:
    load(parts, folder)
    rename(folder, "Renamed")
    published, _, requests = load(parts, folder)
    assert (published, len(requests), numbers(parts)) == ((), 1, [1])
    view = parts.change_control.read(ADMIN, requests[0])
    assert (view.record.state, view.authors) == ("in_review", ("cli:admin",))
    with pytest.raises(Refused, match="self-approval-forbidden"):
        parts.change_control.review(ADMIN, requests[0], "approve", view.record.content_sha256, None)
    parts.change_control.review(REVIEWER, requests[0], "approve", view.record.content_sha256, None)
    parts.publishing.publish(PUBLISHER, requests[0])
    assert numbers(parts) == [1, 2]
    assert load(parts, folder) == ((), (RULE_SET,), [])
    export_pack(parts.database, TENANT, RULE_SET, tmp_path / "out")
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == files


def test_loading_another_change_goes_into_the_request_that_stands_and_voids_its_approvals(parts: Parts, folder: Path) -> None:
    load(parts, folder)
    rename(folder, "Once")
    first = load(parts, folder)[2]
    assert load(parts, folder)[2] == first, "the same change again is the same request, still in review"
    view = parts.change_control.read(ADMIN, first[0])
    parts.change_control.review(REVIEWER, first[0], "approve", view.record.content_sha256, None)
    rename(folder, "Twice")
    assert load(parts, folder)[2] == first
    again = parts.change_control.read(ADMIN, first[0]).record
    assert (again.state, again.review_cycle) == ("in_review", 2)


def test_a_pack_with_faults_is_neither_published_nor_proposed(parts: Parts, folder: Path) -> None:
    load(parts, folder)
    rename(folder, "Broken")
    (folder / "rules/pair-without-modifier/rule.md").unlink()
    with pytest.raises(PackFault):
        load(parts, folder)
    assert parts.change_control.listed(ADMIN, None, RULE_SET, 10) == []
