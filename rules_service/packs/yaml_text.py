"""YAML as text: every scalar stays what was written, so revenue code 0450 stays 0450; the schema gives types.

Anchors, aliases, tags, duplicate keys, empty values and several documents are refused, each with its line. There is one
canonical form, which `dump` writes; comments have no place in it (they belong in rule.md).
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import yaml

from rules_service.primitives.errors import Issue, PackFault

_WIDTH = 140
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
MAX_DEPTH = 60
"""Looked at before anything recurses: the parser in C knows no limit of recursion."""


class Positions:
    """Line of every node, by JSON pointer."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._lines: dict[str, int] = {}

    def note(self, pointer: str, line: int) -> None:
        """Remember a node's line."""
        self._lines[pointer] = line

    def where(self, pointer: str) -> str:
        """`file:line` of a pointer, or of the nearest node above it."""
        while pointer and pointer not in self._lines:
            pointer = pointer.rpartition("/")[0]
        return f"{self.file}:{self._lines.get(pointer, 1)}"


def load(text: str, file: str | PurePath) -> tuple[Any, Positions]:
    """Plain data whose scalars are text, and where each node stands; PackFault with the line otherwise."""
    positions, depth = Positions(str(file)), 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            mark = getattr(event, "start_mark", None)
            line = mark.line + 1 if mark else 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _fault("PK001", f"{file}:{line}", f"The file is nested deeper than {MAX_DEPTH} levels.", "Flatten it.")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _fault("PK001", f"{file}:{line}", "Anchors and aliases are not used here.", "Write the value out.")
            if getattr(event, "tag", None):
                raise _fault("PK001", f"{file}:{line}", "Tags are not used here.", "Write plain text; the schema gives it its type.")
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise _fault("PK001", f"{file}:{line}", f"This is not YAML: {problem}.", "Mend the syntax.") from None
    if root is None:
        raise _fault("PK001", f"{file}:1", "The file is empty.", "Write the file, or remove it.")
    return _plain(root, "", positions, str(file)), positions


def _fault(code: str, where: str, message: str, mend: str) -> PackFault:
    return PackFault("The file cannot be read", [Issue(code, where, message, mend)])


def _plain(node: yaml.Node, pointer: str, positions: Positions, file: str) -> Any:
    positions.note(pointer, node.start_mark.line + 1)
    where = f"{file}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _fault("PK001", where, "A key is plain text.", "Write the key as text.")
            key = key_node.value
            if key in found:
                raise _fault("PK001", f"{file}:{key_node.start_mark.line + 1}", "The key stands here twice.", "Keep one of them.")
            found[key] = _plain(value_node, f"{pointer}/{key}", positions, file)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, f"{pointer}/{index}", positions, file) for index, item in enumerate(node.value)]
    if node.value == "" and not getattr(node, "style", None):
        raise _fault("PK001", where, "The value is empty.", 'Leave the key out, or write "" for empty text.')
    return node.value


class _Dumper(yaml.SafeDumper):
    """No implicit types: text is written plain wherever that reads back as the same text; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = {}


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    plain = value != "" and value == value.strip() and "\n" not in value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _represent_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    flow = all(isinstance(item, str) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


def _represent_mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    flat = all(isinstance(item, str) for item in value.values())
    short = sum(len(key) + len(item) + 4 for key, item in value.items() if isinstance(item, str)) < 110
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=flat and short and bool(value))


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_mapping)


class _TopLevel(dict[str, Any]):
    """A mapping always written as a block."""


_Dumper.add_representer(_TopLevel, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False))


def dump(data: dict[str, Any]) -> str:
    """The canonical text of plain data: block at the top, short flat mappings and lists on one line."""
    return yaml.dump(_TopLevel(data), Dumper=_Dumper, width=_WIDTH, allow_unicode=True, sort_keys=False)
