"""Files of claims on the command line and in a watched folder: every format, every report, each file answered once."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rules_service.formats.native.json_claims import claim_of
from rules_service.rendering.reports import csv_report, sarif_report
from rules_service.services.settings import Settings
from rules_service.services.validate_claim import open_validator
from rules_service.services.watched_folder import Folders, Handled, WatchedFolder
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database
from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER, file
from tests.formats.test_acknowledgment import validated
from tests.support.builders import THREE_FINDINGS, claim, claim_bytes
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import carried
from tests.support.server import ROOT, Server, prepare

X12 = file(BILLING, SUBSCRIBER, CLAIM, CLAIM.replace("*150***", "*SECRET***"))
FILES: dict[str, bytes] = {
    "one.json": claim_bytes(lines=THREE_FINDINGS),
    "two.ndjson": claim_bytes() + b"\n{\n",
    "three.837": X12,
    "four.json": json.dumps(write_fhir(carried(claim(payer={"payer_id": "EXAMPLE01"})))).encode(),
}


@pytest.fixture(scope="module")
def url(new_url: Callable[[str], str]) -> str:
    found = new_url("sqlite")
    prepare(found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "in"
    target.mkdir()
    for name, data in FILES.items():
        (target / name).write_bytes(data)
    (target / "notes.md").write_text("no claims")
    return target


def run(url: str, data: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DATABASE_URL": url, "DATA_DIR": str(data)} | more
    return subprocess.run(
        [sys.executable, "-m", "rules_service.cli.main", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_folder_of_every_format_is_judged_and_its_exit_code_tells_the_worst(url: str, folder: Path, tmp_path: Path) -> None:
    done = run(url, tmp_path, "validate", str(folder), "--format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, [(Path(one["file"]).name, one["claim"]) for one in lines]) == (
        2, [("four.json", 1), ("one.json", 1), ("three.837", 1), ("three.837", 2), ("two.ndjson", 1), ("two.ndjson", 2)],
    )  # fmt: skip
    assert ["problem" in one for one in lines] == [False, False, False, True, False, True]
    assert "SECRET" not in done.stdout + done.stderr
    assert "notes.md is passed over" in done.stderr
    text_report = run(url, tmp_path, "validate", str(folder / "one.json"))
    assert (text_report.returncode, "one.json claim 1: FINDINGS" in text_report.stdout) == (1, True)
    assert run(url, tmp_path, "validate", str(folder / "two.ndjson")).returncode == 2


def test_nothing_to_judge_is_not_success(url: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/claims.dat").write_bytes(claim_bytes())
    empty = run(url, tmp_path, "validate", str(tmp_path / "in"))
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "claims.dat is passed over" in empty.stderr
    assert "nothing was judged" in empty.stderr
    (tmp_path / "none.ndjson").write_bytes(b"")
    none = run(url, tmp_path, "validate", str(tmp_path / "none.ndjson"))
    assert (none.returncode, "The file holds no claim" in none.stdout) == (2, True)


def test_files_of_folders_inside_are_judged_and_told_apart(url: str, tmp_path: Path) -> None:
    sent = b"\xef\xbb\xbf" + X12.replace(b"P9213", b"P7001")
    for name in ("a", "b"):
        (tmp_path / f"in/{name} x").mkdir(parents=True)
        (tmp_path / f"in/{name} x/one.837").write_bytes(sent)
    sarif = json.loads(run(url, tmp_path, "validate", str(tmp_path / "in"), "--format", "sarif").stdout)
    places = [one["locations"][0]["physicalLocation"] for one in sarif["runs"][0]["results"] if one["ruleId"] == "auth.missing"]
    assert {place["artifactLocation"]["uri"].rsplit("/in/")[1] for place in places} == {"a%20x/one.837", "b%20x/one.837"}
    assert {place["region"]["byteOffset"] for place in places} == {sent.index(b"SV1*HC:P7001")}


def test_a_claim_that_is_left_open_stands_in_every_report(url: str, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(claim_bytes(payer={"payer_id": "NOBODY1"}))
    for form, told in (("sarif", '"ruleId": "payer.rules"'), ("csv", "payer.rules")):
        done = run(url, tmp_path, "validate", str(tmp_path / "one.json"), "--format", form)
        assert (done.returncode, told in done.stdout, "payer_rules_missing" in done.stdout) == (1, True, True), done.stdout


def test_reports_for_spreadsheets_and_for_tools_hold_every_finding(url: str, folder: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(url, tmp_path, "validate", str(folder), "--format", "csv").stdout)))
    assert {row["finding_code"] for row in rows if row["file"].endswith("one.json")} == {"tf.at_risk", "ncci.ptp", "auth.missing"}
    assert [row["outcome"] for row in rows if row["file"].endswith("three.837")][-1] == "refused"
    sarif = json.loads(run(url, tmp_path, "validate", str(folder), "--format", "sarif").stdout)
    (report,) = sarif["runs"]
    places = [one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for one in report["results"] if one["ruleId"] == "ncci.ptp"]
    assert places == ["claim 1 2400[2]/SV101-2"]
    assert {one["ruleId"] for one in report["results"]} == {one["id"] for one in report["tool"]["driver"]["rules"]}


def test_no_cell_of_a_spreadsheet_is_a_formula() -> None:
    problem = {"title": "=x", "errors": [{"pointer": "+1", "code": "@c", "message": '=HYPERLINK("x")', "mend": ""}]}
    text_of = csv_report([{"file": "-f", "claim": 1, "problem": problem}])
    assert not [cell for row in list(csv.reader(io.StringIO(text_of)))[1:] for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert sarif_report([])["runs"][0]["results"] == []


@pytest.fixture
def watched(database: Database, tmp_path: Path, folder: Path) -> Iterator[Callable[..., WatchedFolder]]:
    prepare(database.url)
    settings = Settings(database_url=database.url, data_dir=tmp_path / "data")
    _, writer, validator = open_validator(settings, database)

    def make(settled: float = 0.0, left: float = 300.0) -> WatchedFolder:
        folders = Folders(folder, tmp_path / "out", tmp_path / "archive")
        return WatchedFolder(folders, validator, Principal("default", "watched folder", frozenset()), settled, left)

    yield make
    writer.close()


def evaluations(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM evaluation")).scalar_one())


def test_every_file_dropped_is_answered_stored_and_archived(
    watched: Callable[..., WatchedFolder], database: Database, tmp_path: Path
) -> None:
    handled = watched().look()
    assert {(one.name, one.claims, one.refused) for one in handled} == {
        ("four.json", 1, 0), ("notes.md", 1, 1), ("one.json", 1, 0), ("three.837", 2, 1), ("two.ndjson", 2, 1),
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "archive").iterdir()} == {*FILES, "notes.md"}
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == [".taken"]
    assert list((tmp_path / "in/.taken").iterdir()) == []
    validated((tmp_path / "out/three.837.277ca").read_bytes())
    first, second = [json.loads(line) for line in (tmp_path / "out/three.837.findings.ndjson").read_bytes().splitlines()]
    assert (first["evaluation"]["patient_control_number"], second["problem"]["errors"][0]["code"]) == ("PCN-1001", "x12.amount")
    assert evaluations(database) == 4
    assert watched().look() == []


def test_a_file_that_is_still_being_written_waits(watched: Callable[..., WatchedFolder]) -> None:
    assert watched(settled=3_600).look() == []


def test_several_watchers_answer_each_file_once(watched: Callable[..., WatchedFolder], database: Database, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"in/more-{number}.json").write_bytes(claim_bytes(patient_control_number=f"N-{number}"))
    handled: list[Handled] = []
    watchers = [watched() for _ in range(4)]
    threads = [threading.Thread(target=lambda one=one: handled.extend(one.look())) for one in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [one.name for one in handled]
    assert sorted(names) == sorted({*FILES, "notes.md", *(f"more-{number}.json" for number in range(20))})
    assert evaluations(database) == 24


def test_what_a_killed_watcher_left_is_taken_up_and_no_claim_is_judged_twice(
    watched: Callable[..., WatchedFolder], database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FILES.keys() - {"three.837"}:
        (tmp_path / "in" / name).unlink()
    (tmp_path / "in/notes.md").unlink()
    monkeypatch.setattr(WatchedFolder, "_kept", stopped)  # it was stopped after storing, before archiving
    with pytest.raises(KeyboardInterrupt):
        watched().look()
    monkeypatch.undo()
    assert evaluations(database) == 1
    assert watched(left=3_600).look() == []
    assert [one.name for one in watched(left=0.0).look()] == ["three.837"]
    assert (tmp_path / "out/three.837.findings.ndjson").exists()
    assert evaluations(database) == 1


def test_a_file_dropped_again_is_judged_again(watched: Callable[..., WatchedFolder], database: Database, tmp_path: Path) -> None:
    watched().look()
    before = evaluations(database)
    (tmp_path / "in/again.837").write_bytes(X12)
    assert [one.name for one in watched().look()] == ["again.837"]
    assert evaluations(database) == before + 1


def test_an_upload_that_pauses_is_answered_whole_in_the_end(watched: Callable[..., WatchedFolder], tmp_path: Path) -> None:
    folder, slow = watched(), tmp_path / "in/slow.ndjson"
    folder.look()
    with slow.open("wb") as upload:
        upload.write(claim_bytes() + b"\n")
        upload.flush()
        assert [(one.name, one.claims) for one in folder.look()] == [("slow.ndjson", 1)]
        upload.write(claim_bytes() + b"\n")
    told = folder.look()
    assert [(one.name, one.claims, one.failure) for one in told] == [
        ("slow.ndjson", 0, "the file grew while it was read"), ("slow.ndjson", 2, None),
    ]  # fmt: skip
    assert len((tmp_path / "out/slow.ndjson.findings.ndjson").read_bytes().splitlines()) == 2
    assert folder.look() == []


def test_an_upload_that_pauses_while_no_watcher_runs_is_answered_whole_in_the_end(
    watched: Callable[..., WatchedFolder], tmp_path: Path
) -> None:
    slow = tmp_path / "in/slow.ndjson"
    watched().look()
    with slow.open("wb") as upload:
        upload.write(claim_bytes() + b"\n")
        upload.flush()
        assert [(one.name, one.claims) for one in watched().look()] == [("slow.ndjson", 1)]
        time.sleep(0.05)  # the clock of the file system is coarser than that of the watcher
        upload.write(claim_bytes() + b"\n")
    assert [(one.claims, one.failure) for one in watched().look()] == [(0, "the file grew while it was read"), (2, None)]
    assert watched().look() == []


def test_a_file_that_grows_while_it_is_read_goes_back(
    watched: Callable[..., WatchedFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, slow = watched(), tmp_path / "in/slow.ndjson"
    folder.look()
    upload = slow.open("wb")
    upload.write(claim_bytes() + b"\n")
    upload.flush()
    judged = WatchedFolder._judged

    async def grows(*arguments: Any) -> Any:
        answers = await judged(*arguments)
        upload.write(claim_bytes() + b"\n")
        upload.flush()
        return answers

    monkeypatch.setattr(WatchedFolder, "_judged", grows)
    assert [(one.name, one.failure) for one in folder.look()] == [("slow.ndjson", "the file grew while it was read")]
    monkeypatch.undo()
    upload.close()
    assert [(one.name, one.claims) for one in folder.look()] == [("slow.ndjson", 2)]


def test_a_name_that_says_it_is_unfinished_waits(watched: Callable[..., WatchedFolder], tmp_path: Path) -> None:
    folder = watched()
    folder.look()
    (tmp_path / "in/claims.837.filepart").write_bytes(X12)
    assert folder.look() == []


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_watcher_stopped_while_it_answered_leaves_one_answer_under_one_name(
    watched: Callable[..., WatchedFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchedFolder, "_answer", stopped)  # the place in the archive is reserved, nothing is answered
    with pytest.raises(KeyboardInterrupt):
        watched().look()
    monkeypatch.undo()
    names = {one.name for one in [*watched(left=0.0).look(), *watched().look()]}
    assert not [name for name in names if name.startswith("2-")]
    assert all(path.stat().st_size for path in (tmp_path / "archive").iterdir())
    assert {path.name for path in (tmp_path / "archive").iterdir()} == names


def test_a_second_file_of_the_same_name_is_answered_beside_the_first(watched: Callable[..., WatchedFolder], tmp_path: Path) -> None:
    watched().look()
    first = (tmp_path / "out/three.837.findings.ndjson").read_bytes()
    (tmp_path / "in/three.837").write_bytes(X12.replace(b"PCN-1001", b"PCN-2002"))
    assert [one.name for one in watched().look()] == ["2-three.837"]
    assert (tmp_path / "out/three.837.findings.ndjson").read_bytes() == first
    second = json.loads((tmp_path / "out/2-three.837.findings.ndjson").read_bytes().splitlines()[0])
    assert (second["file"], second["evaluation"]["patient_control_number"]) == ("2-three.837", "PCN-2002")
    assert b"PCN-2002" in (tmp_path / "archive/2-three.837").read_bytes()


@pytest.mark.parametrize("name", [b"caf\xe9.json", b"a" * 250 + b".json", "\N{EURO SIGN}".encode() * 80 + b".json"])
def test_no_name_of_a_file_keeps_the_others_from_being_answered(watched: Callable[..., WatchedFolder], tmp_path: Path, name: bytes) -> None:
    (tmp_path / "in" / os.fsdecode(name)).write_bytes(claim_bytes(patient_control_number="NAMED"))
    handled = watched().look()
    assert ([one.failure for one in handled], len(handled)) == ([None] * 6, 6)
    named = [path for path in (tmp_path / "out").iterdir() if b"NAMED" in path.read_bytes()]
    assert [path.name.endswith(".json.findings.ndjson") for path in named] == [True]
    assert list((tmp_path / "in/.taken").iterdir()) == []


def test_a_file_the_system_does_not_give_is_told_and_the_others_are_answered(watched: Callable[..., WatchedFolder], tmp_path: Path) -> None:
    folder = watched()
    (tmp_path / "out/one.json.findings.ndjson").mkdir()  # in the place of the answer
    handled = {one.name: one.failure for one in folder.look()}
    assert (handled.pop("one.json"), set(handled.values()), len(handled)) == ("Is a directory", {None}, 4)
    assert [path.name.split("=", 2)[2] for path in (tmp_path / "in/.taken").iterdir()] == ["one.json"]
    assert [(one.name, one.failure) for one in watched(left=0.0).look()] == [("one.json", "Is a directory")]
    (tmp_path / "out/one.json.findings.ndjson").rmdir()
    assert [(one.name, one.failure) for one in watched(left=0.0).look()] == [("one.json", None)]


def test_a_claim_that_could_not_be_judged_for_no_fault_of_its_own_is_not_returned(
    watched: Callable[..., WatchedFolder], tmp_path: Path
) -> None:
    folder = watched(left=0.0)
    (tmp_path / "in/three.837").rename(tmp_path / "in/.taken/999-1~d0~three.837")
    other = claim_of(claim_bytes(patient_control_number="OTHER"))
    key = f"drop/d0/{hashlib.sha256(X12).hexdigest()}/0"  # somebody stored another claim under the first claim's key
    asyncio.run(folder._validator.validate(other, folder._principal, key))
    handled = {one.name: one.failure for one in folder.look()}
    assert handled.pop("three.837") == "this idempotency key was used with another body"
    assert set(handled.values()) == {None}
    assert [path.name.split("~", 2)[1:] for path in (tmp_path / "in/.taken").iterdir()] == [["d0", "three.837"]]
    assert not (tmp_path / "out/three.837.277ca").exists()


def test_watch_once_on_the_command_line(url: str, folder: Path, tmp_path: Path) -> None:
    done = run(url, tmp_path / "data", "watch", str(folder), str(tmp_path / "out"), str(tmp_path / "archive"), "--once", "--settled", "0")
    assert (done.returncode, "three.837: 2 claims, 1 of them not read" in done.stdout) == (0, True), done.stderr
    assert (tmp_path / "out/three.837.277ca").exists()


def test_a_folder_in_a_watched_folder_is_told(url: str, tmp_path: Path) -> None:
    (tmp_path / "in/yesterday").mkdir(parents=True)
    done = run(url, tmp_path / "data", "watch", str(tmp_path / "in"), str(tmp_path / "out"), str(tmp_path / "archive"), "--once")
    assert (done.returncode, "yesterday: a folder in it is not looked into" in done.stderr) == (0, True)


def test_a_batch_document_is_read_from_a_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_bytes(b'{"claims":[' + b",".join([claim_bytes(), b"{}", claim_bytes(lines=THREE_FINDINGS)]) + b"]}")
    done = run(url, tmp_path / "data", "validate", str(tmp_path / "batch.json"), "--json")
    assert ["problem" in json.loads(line) for line in done.stdout.splitlines()] == [False, True, False]


def test_a_running_service_judges_as_the_database_does(server: Server, folder: Path, tmp_path: Path) -> None:
    """The client behind `--server`: the same lines, but for what names an evaluation."""
    asked = [
        run(server.url, server.data_dir, "validate", str(folder), "--format", "csv", *more) for more in ((), ("--server", server.base_url))
    ]
    assert "set RULES_SERVICE_KEY" in asked[1].stderr.replace("\n", " ")
    environment = {"RULES_SERVICE_KEY": server.key}
    there = run(server.url, tmp_path / "elsewhere", "validate", str(folder), "--format", "csv", "--server", server.base_url, **environment)
    assert (there.returncode, there.stdout) == (asked[0].returncode, asked[0].stdout)
    assert not (tmp_path / "elsewhere").exists(), "no database of its own was opened"


def test_a_service_that_cannot_be_asked_is_told_and_nothing_is_said_to_be_clean(server: Server, folder: Path, tmp_path: Path) -> None:
    one = str(folder / "one.json")
    refused = run(server.url, tmp_path, "validate", one, "--server", server.base_url, RULES_SERVICE_KEY="nobody")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "The service refused: A credential is needed" in refused.stderr
    away = run(server.url, tmp_path, "validate", one, "--server", "http://127.0.0.1:9", RULES_SERVICE_KEY="nobody")
    assert (away.returncode, away.stdout) == (2, "")
    assert "The service was not reached" in away.stderr
