"""`make bench`: prints a table and writes build/bench.json (name, value, unit, measured against)."""

from __future__ import annotations

import gc
import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks import fixture
from benchmarks.measured import RESULTS, ROUNDS, note, private_kilobytes
from benchmarks.over_http import CLAIMS, EVERY, RULES, SOME, http
from rules_service.claim.codec import encode_json
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.formats.native.json_claims import claim_of
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.reference.pair_table import PairTable
from rules_service.storage.editions import EditionFiles

HOLD = frozenset({"reject", "deny_hard", "deny_soft"})


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

    def policy_of(publications: list[Any]) -> Policy:
        return Policy(publications, "professional", cache)

    def judged(policy: Policy, body: bytes, editions: EditionCatalog = catalog) -> Callable[[], object]:
        def work() -> object:
            view = ClaimView(claim_of(body), "MEDB")
            judgement = judge(policy, view, Lookups(editions), HOLD).judgement
            view.let_go()
            return encode_json(judgement)

        return work

    five = fixture.claim_body(5)
    every_rule = policy_of([*base, fixture.condition_rules(31, concern=True)])
    some = fixture.concerning(base, five, RULES)
    gc.collect()
    gc.freeze()  # as a serving process does
    gc.set_threshold(50_000, 20, 100)
    bodies = fixture.many_claims(made, CLAIMS)

    def one_of_many(policy: Policy) -> Callable[[], object]:
        each = cycle([judged(policy, body) for body in bodies])
        return lambda: next(each)()

    found = _compare({"parse": lambda: claim_of(five), SOME: one_of_many(policy_of(some)), EVERY: one_of_many(policy_of(base))})
    note("in process: parse only", 1e6 / found["parse"], "claims/s")
    for label in (SOME, EVERY):
        note(f"in process: parse, judge, encode, {label}", 1e6 / found[label], "claims/s")
        note(f"whole / parse only, {label}", found[label] / found["parse"], "x", "parsing the same claim")
    rules = {
        f"{n} rules": judged(policy_of([*base, fixture.condition_rules(n, concern=False, prefix=f"N{n}")]), five)
        for n in (10, 50, 100, 250, 500)
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
        lists[f"{rows} rows"] = judged(policy_of([*base, plan]), five, EditionCatalog([*known, *editions]))
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
