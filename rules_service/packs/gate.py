"""The publish gate: a pack is compiled and run in a throw-away process before it may be published.

A crash, a hang or a difference between durable_rules and the oracle refuses the pack; the service's own process is never at risk.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rules_service.engine.compile import FactReader, Program, build_shards
from rules_service.engine.durable_host import MAX_PATTERNS
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.catalogue import CATALOGUE
from rules_service.facts.values import FactValue
from rules_service.packs.cases import run_cases, untested
from rules_service.packs.read import Pack, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.primitives.errors import InputError, Issue, PackFault
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import Leaf, leaves
from rules_service.rules.kinds import KINDS
from rules_service.rules.matching import truth

TIMEOUT_SECONDS = 120
RANDOM_FACTS = 20
SEED = 20_260_101


class Trial(msgspec.Struct, frozen=True):
    """What a pack came to in the throw-away process. `never_true` and `never_false` name conditions no case made so."""

    cases: int
    failed: tuple[dict[str, str], ...]
    engine_differs: tuple[str, ...]
    never_true: tuple[str, ...]
    never_false: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Every case as expected, engine and oracle of one mind."""
        return not self.failed and not self.engine_differs


def run_gate(pack_folder: Path, samples: Path) -> None:
    """Run the gate in another process; PackFault with its reasons when the pack does not pass."""
    trial = run_trial(pack_folder, samples)
    if not trial.passed:
        issues = [Issue("case-failed", fault["where"], fault["message"], "Mend the rule or the case.") for fault in trial.failed]
        issues += [
            Issue("gate", pack_folder.name, f"{what}: engine and oracle differ.", "Report the engine fault.")
            for what in trial.engine_differs
        ]
        raise PackFault("The publish gate refused the pack: nothing was published", issues)


def run_trial(pack_folder: Path, samples: Path) -> Trial:
    """Compile and run a pack in another process; PackFault when that process crashes, hangs or cannot read the pack."""
    command = [sys.executable, "-m", "rules_service.packs.gate", str(pack_folder), str(samples)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603  our own module
    except subprocess.TimeoutExpired:
        raise _refused(pack_folder, f"Compiling and running the pack took more than {TIMEOUT_SECONDS} seconds.") from None
    if done.returncode < 0:
        raise _refused(pack_folder, "The engine crashed while it compiled or ran the pack.")
    if done.returncode != 0:
        raise _refused(pack_folder, done.stdout.strip() or done.stderr.strip()[-2_000:])
    return msgspec.json.decode(done.stdout, type=Trial)


def _refused(folder: Path, why: str) -> PackFault:
    return PackFault(
        "The publish gate refused the pack: nothing was published",
        [Issue("gate", folder.name, why, "Mend the rule named, or report the engine fault.")],
    )


def try_in_process(pack: Pack, samples: Path) -> Trial:
    """Compile every slice, compare engine and oracle on random facts for every condition, and run every case."""
    editions = sample_editions(samples)
    results = list(run_cases(pack, editions))
    failed = tuple(
        {"rule_id": result.rule_id, "case": result.name, "where": result.where, "message": f"{result.rule_id} {result.name!r}: {fault}."}
        for result in results
        for fault in result.faults
    )
    never_true, never_false = untested(pack, editions)
    return Trial(len(results), failed, tuple(_engine_differences(pack)), never_true, never_false)


def _engine_differences(pack: Pack) -> Iterator[str]:
    publication = pack.publication()
    cache = SliceCache(1024)
    checked: set[str] = set()
    draw = random.Random(SEED)  # noqa: S311  reproducible, not secret
    for claim_type in ("professional", "institutional", "dental"):
        policy = Policy([publication], claim_type, cache)
        for window in publication.manifest.windows:
            for day in filter(None, (window.effective_from, window.effective_through)):
                for rule in policy.slice(day).rules:
                    if rule.rule.sha256 in checked:
                        continue  # a version stands in many slices; its conditions are the same in all of them
                    checked.add(rule.rule.sha256)
                    for branch, program in rule.branches:
                        if not engine_agrees(program, draw):
                            yield f"{rule.rule.content.rule_id} {branch.code}"


def engine_agrees(program: Program, draw: random.Random) -> bool:
    """Engine and oracle say the same (true, false or unknown) of a condition, for RANDOM_FACTS sets of random facts."""
    literals = list(leaves(program.condition))
    drawn = {f"g{number}": {name: _random_value(name, literals, draw) for name in sorted(program.facts)} for number in range(RANDOM_FACTS)}
    readers: dict[str, FactReader] = {subject: facts.__getitem__ for subject, facts in drawn.items()}
    engine: dict[str, bool | None] = dict.fromkeys(drawn)
    for positive in (False, True):
        for shard in build_shards([program], positive, MAX_PATTERNS):
            engine.update((subject, positive) for _, subject in shard.run(readers))
    return all(engine[subject] is truth(program.condition, facts.__getitem__) for subject, facts in drawn.items())


def _random_value(name: str, all_leaves: list[Leaf], draw: random.Random) -> FactValue:
    """Absent, unknown, or a value near the literals the condition compares the fact with."""
    choice = draw.random()
    if choice < 0.15:
        return None
    if choice < 0.3:
        return Unknown("context_not_supplied")
    kind = _kind_of(name)
    literals = [
        item
        for leaf in all_leaves
        if leaf.fact == name and leaf.op != "present"
        for item in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))
    ]
    if kind == "flag":
        return draw.random() < 0.5
    if kind in ("count", "quantity", "money", "day"):
        base = draw.choice(literals) if literals else 0
        return int(base) + draw.choice((-1, 0, 1))
    text = str(draw.choice(literals)) if literals and draw.random() < 0.7 else draw.choice(("ZZ", "", 'odd "text"', "é"))
    return (text,) if kind == "codes" else text or None


def _kind_of(name: str) -> str:
    if name in CATALOGUE:
        return CATALOGUE[name].spec.type
    return next(kind.specs[name].type for kind in KINDS.values() if name in kind.specs)


def main() -> int:
    """Prints the trial as JSON; 1, with the reason, when the pack cannot be tried."""
    try:
        trial = try_in_process(read_pack(Path(sys.argv[1])), Path(sys.argv[2]))
    except InputError as error:
        print(error)  # noqa: T201  read by run_trial
        return 1
    print(msgspec.json.encode(trial).decode())  # noqa: T201  read by run_trial
    return 0


if __name__ == "__main__":
    sys.exit(main())
