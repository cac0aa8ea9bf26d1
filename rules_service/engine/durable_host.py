"""The only importer of durable_rules, through its C API and never its `Host`.

Measured limits of the library (silent loss of facts, crashes, hangs) are kept out of reach here, whatever the caller does:
facts are flat, typed, bounded and one pattern each; conditions are equalities and inequalities on whole numbers, booleans and
safe text; a sentinel on the end fact proves that no fact was dropped; state is thrown away after every run and nothing is
ever retracted. Rulesets are created and primed once, then used under a lock, because the library keeps one session slot.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import durable_rules_engine as _engine
import msgspec

from rules_service.primitives.errors import EngineFault, Issue, RuleRefused

MAX_PATTERNS = 24  # the library fails at 60 pattern chains per fact type and hangs at 512; small shards are also faster
MAX_TESTS = 30  # the library takes 31 expressions per pattern
MAX_FACTS = 200  # per session; the caller runs several
MAX_FIELDS = 120  # the library takes 254 properties with its own
MAX_INT = 2**53
MAX_TEXT = 512

_SESSION = "S"
_SENTINEL = "zz"
_END = '{"t":"E","id":"e","sid":"S"}]'
_OPERATORS = {"eq": "", "ne": "$neq", "lt": "$lt", "le": "$lte", "gt": "$gt", "ge": "$gte"}

Scalar = int | str | bool


@dataclass(frozen=True, slots=True, order=True)
class Comparison:
    """`field op value` on one fact. Text takes eq and ne, booleans eq, whole numbers all."""

    field: str
    op: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Pattern:
    """One engine rule: fires for every fact of the type that passes every test."""

    key: str
    fact_type: str
    tests: tuple[Comparison, ...]


def _refuse(code: str, message: str) -> RuleRefused:
    return RuleRefused("The engine must not be handed this", [Issue(code, "engine", message, "Simplify the rule.")])


def _safe_text(value: str) -> bool:
    return len(value) <= MAX_TEXT and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value


def _in_bounds(value: Scalar) -> bool:
    return _safe_text(value) if isinstance(value, str) else -MAX_INT < value < MAX_INT


def _check_value(test: Comparison) -> None:
    value = test.value
    if type(value) is bool:
        allowed = test.op == "eq"
    elif type(value) is int:
        allowed = test.op in _OPERATORS and -MAX_INT < value < MAX_INT
    elif type(value) is str:
        allowed = test.op in ("eq", "ne") and _safe_text(value)
    else:
        allowed = False
    if not allowed:
        raise _refuse("engine-literal", f"The operator {test.op} does not take this literal.")


def _check_name(name: str) -> None:
    if not (1 <= len(name) <= 8 and name.isascii() and name.isalnum() and name[0].isalpha()) or name in ("t", "id", "sid", "e"):
        raise _refuse("engine-name", "A field, type or key name is one letter and up to seven letters or digits.")


_TYPES = {bool: 0, int: 1, str: 2}


def _program(patterns: Sequence[Pattern]) -> tuple[str, dict[str, type]]:
    if not 0 < len(patterns) <= MAX_PATTERNS:
        raise _refuse("engine-patterns", f"A shard has 1 to {MAX_PATTERNS} patterns.")
    rules: dict[str, object] = {}
    fields: dict[str, type] = {}
    for pattern in patterns:
        _check_name(pattern.key)
        _check_name(pattern.fact_type)
        if pattern.key == _SENTINEL or pattern.key in rules or pattern.fact_type == "E":
            raise _refuse("engine-name", "A rule key occurs twice or is reserved.")
        if not 0 < len(pattern.tests) <= MAX_TESTS:
            raise _refuse("engine-tests", f"A pattern has 1 to {MAX_TESTS} tests; without one it would match everything.")
        for test in pattern.tests:
            _check_name(test.field)
            _check_value(test)
            if fields.setdefault(test.field, type(test.value)) is not type(test.value):
                raise _refuse("engine-type", "A field is compared with values of two types.")
        # Type first, then equalities, then inequalities: the order in which the library's node sharing is sound.
        ordered = sorted(
            set(pattern.tests), key=lambda test: (test.op != "eq", test.op == "ne", test.field, _TYPES[type(test.value)], str(test.value))
        )
        parts: list[object] = [{"t": pattern.fact_type}]
        for test in ordered:
            parts.append({test.field: test.value} if test.op == "eq" else {_OPERATORS[test.op]: {test.field: test.value}})
        rules[pattern.key] = {"all": [{"m": {"$and": parts}}]}
    if len(fields) > MAX_FIELDS:
        raise _refuse("engine-fields", f"A shard reads at most {MAX_FIELDS} fields.")
    rules[_SENTINEL] = {"all": [{"m": {"$and": [{"t": "E"}]}}]}
    return msgspec.json.encode(rules).decode(), fields


class Shard:
    """One compiled durable_rules ruleset of at most MAX_PATTERNS single-fact rules. Thread-safe; freed with its last reference."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        program, self._fields = _program(patterns)
        self._lock = threading.Lock()
        self._handle: int | None = _engine.create_ruleset("shard", program)
        self._free = weakref.finalize(self, _engine.delete_ruleset, self._handle)
        self._offset: int | None = None
        try:
            self._run("[" + _END)  # primes the one session slot, so that deleting its state is always defined
        except EngineFault:
            self.close()
            raise

    def run(self, facts: Mapping[str, tuple[str, Mapping[str, Scalar]]]) -> set[tuple[str, str]]:
        """(rule key, fact id) of every match. `facts` maps an id to its type and fields; EngineFault when any was not judged."""
        if len(facts) > MAX_FACTS:
            raise EngineFault("more facts than one session takes")
        parts = []
        for fact_id, (fact_type, values) in facts.items():
            if not (fact_id.isascii() and fact_id.isalnum() and 1 < len(fact_id) <= 8) or fact_id in ("sid", "S"):
                raise EngineFault("a fact id the library would confuse")
            body: dict[str, Scalar] = {"t": fact_type, "id": fact_id, "sid": _SESSION}
            for name, value in values.items():
                expected = self._fields.get(name)
                if expected is None:
                    continue
                if type(value) is not expected or not _in_bounds(value):
                    raise EngineFault(f"field {name} holds a value the library would misread")
                body[name] = value
            parts.append(msgspec.json.encode(body).decode())
        parts.append(_END)
        return self._run("[" + ",".join(parts))

    def _run(self, facts: str) -> set[tuple[str, str]]:
        matches: set[tuple[str, str]] = set()
        with self._lock:
            if self._handle is None:
                raise EngineFault("the shard was closed")
            ended = False
            try:
                _, offset = _engine.assert_facts(self._handle, facts)
                if self._offset is None:
                    self._offset = offset
                if offset != self._offset:
                    raise EngineFault("unexpected session slot")
                action = _engine.start_action_for_state(self._handle, offset)
                message = action and action[1]
                while message is not None:
                    for key, match in msgspec.json.decode(message).items():
                        if key == _SENTINEL:
                            ended = True
                        else:
                            matches.add((key, match["m"]["id"]))
                    message = _engine.complete_and_start_action(self._handle, offset)
            except _engine.error as error:
                raise EngineFault(f"durable_rules refused the facts ({type(error).__name__})") from None
            finally:
                try:
                    _engine.delete_state(self._handle, _SESSION)
                except _engine.error:
                    self._close_locked()
        if not ended:
            raise EngineFault("the end fact was not seen: a fact was lost")
        return matches

    def _close_locked(self) -> None:
        self._handle = None
        self._free()

    def close(self) -> None:
        """Give the memory back; running again raises EngineFault."""
        with self._lock:
            self._close_locked()
