"""Nothing that crashes, hangs or silently misleads durable_rules can reach it."""

import threading

import pytest

from rules_service.engine import durable_host
from rules_service.engine.durable_host import MAX_FACTS, MAX_FIELDS, MAX_PATTERNS, MAX_TESTS, Comparison, Pattern, Shard
from rules_service.primitives.errors import EngineFault, RuleRefused


def fnv32(text: str) -> int:
    """FNV-1a over signed bytes, as the library hashes names and ids."""
    found = 0x811C9DC5
    for byte in text.encode():
        found = ((found ^ (byte if byte < 128 else (byte - 256) & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return found


def one(*tests: Comparison, key: str = "r0", kind: str = "F") -> Pattern:
    return Pattern(key, kind, tests or (Comparison("x", "eq", 1),))


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        [one(key=f"r{n}") for n in range(MAX_PATTERNS + 1)],
        [Pattern("r0", "F", ())],
        [one(*(Comparison(f"x{n}", "eq", 1) for n in range(MAX_TESTS + 1)))],
        [one(*(Comparison(f"x{n}", "eq", 1) for n in range(k * 25, k * 25 + 25)), key=f"r{k}") for k in range(MAX_FIELDS // 25 + 1)],
        [one(), one()],
        [one(key="zz")],
        [one(kind="E")],
        [one(Comparison("id", "eq", "a"))],
        [one(Comparison("sid", "eq", "a"))],
        [one(Comparison("t", "eq", "a"))],
        [one(Comparison("a.b", "eq", 1))],
        [one(Comparison("$s", "eq", 1))],
        [one(Comparison("x" * 9_000, "eq", 1))],
        [one(Comparison("x", "mt", "[a-z]+"))],
        [one(Comparison("x", "lt", "AB"))],
        [one(Comparison("x", "ne", True))],
        [one(Comparison("x", "eq", 2**53))],
        [one(Comparison("x", "eq", 1.5))],  # type: ignore[arg-type]
        [one(Comparison("x", "eq", None))],  # type: ignore[arg-type]
        [one(Comparison("x", "eq", 'a"b'))],
        [one(Comparison("x", "eq", "é"))],
        [one(Comparison("x", "eq", "a" * 600))],
        [one(Comparison("x", "eq", 1), Comparison("x", "eq", "1"))],
        [one(Comparison("x", "eq", 1)), one(Comparison("x", "eq", True), key="r1")],
    ],
)
def test_a_program_outside_the_fence_is_refused(patterns: list[Pattern]) -> None:
    with pytest.raises(RuleRefused) as error:
        Shard(patterns)
    assert error.value.issues[0].code.startswith("engine-")


@pytest.mark.parametrize(
    "facts",
    [
        {"sid": ("F", {"x": 1})},
        {"f": ("F", {"x": 1})},
        {"f 1": ("F", {"x": 1})},
        {"f" * 30: ("F", {"x": 1})},
        {"sid-S": ("F", {"x": 1})},
        {"f1": ("F", {"x": 1.0})},
        {"f1": ("F", {"x": 1e22})},
        {"f1": ("F", {"x": float("inf")})},
        {"f1": ("F", {"x": None})},
        {"f1": ("F", {"x": True})},
        {"f1": ("F", {"x": "1"})},
        {"f1": ("F", {"x": 2**60})},
        {"f1": ("F", {"x": [1]})},
        {"f1": ("F", {"x": {}})},
        {f"f{n}": ("F", {"x": 1}) for n in range(MAX_FACTS + 1)},
    ],
)
def test_a_fact_the_library_would_lose_or_choke_on_is_a_fault_and_never_a_clean_claim(facts: dict) -> None:
    shard = Shard([one()])
    with pytest.raises(EngineFault):
        shard.run(facts)
    assert shard.run({"f1": ("F", {"x": 1})}) == {("r0", "f1")}


def test_text_is_checked_too() -> None:
    shard = Shard([one(Comparison("x", "eq", "A"))])
    for bad in ('"', "\\", "é", "\n", "a" * 70_000):
        with pytest.raises(EngineFault):
            shard.run({"f1": ("F", {"x": bad})})
    assert shard.run({"f1": ("F", {"x": "A"}), "f2": ("F", {"x": "AB"}), "f3": ("F", {})}) == {("r0", "f1")}


def test_a_lost_end_fact_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard([one()])
    monkeypatch.setattr(durable_host, "_END", '{"t":"X","id":"e","sid":"S"}]')
    with pytest.raises(EngineFault, match="end fact"):
        shard.run({"f1": ("F", {"x": 1})})


def test_every_field_and_fact_id_the_engine_can_be_given_has_a_hash_of_its_own() -> None:
    fields = [f"{letter}{n}" for letter in "vplx" for n in range(MAX_FIELDS + 1)] + ["t", "id", "sid", "$s", "m"]
    assert len({fnv32(name) for name in fields}) == len(fields)
    ids = [f"{letter}{n}" for letter in ("L", "C", "g") for n in range(1_000)] + [f"k{n}" for n in range(50_001)] + ["e"]
    assert len({fnv32(name) for name in ids}) == len(ids)


def test_a_closed_shard_answers_with_a_fault() -> None:
    shard = Shard([one()])
    shard.close()
    with pytest.raises(EngineFault, match="closed"):
        shard.run({})


def test_many_threads_share_a_shard_without_mixing_their_facts() -> None:
    shard = Shard([one(Comparison("x", "eq", n), key=f"r{n}") for n in range(8)])
    wrong: list[object] = []

    def work(seed: int) -> None:
        for n in range(400):
            wanted = (seed + n) % 8
            if shard.run({"f1": ("F", {"x": wanted})}) != {(f"r{wanted}", "f1")}:
                wrong.append(wanted)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_does_not_grow_with_runs_or_with_shards() -> None:
    import resource

    def grown(action, times: int) -> int:  # type: ignore[no-untyped-def]
        for _ in range(50):
            action()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(times):
            action()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    shard = Shard([one(Comparison("x", "gt", n), key=f"r{n}") for n in range(10)])
    assert grown(lambda: shard.run({"f1": ("F", {"x": 5}), "f2": ("F", {})}), 3_000) < 20_000
    assert grown(lambda: Shard([one(Comparison("x", "eq", 1))]), 1_000) < 20_000
