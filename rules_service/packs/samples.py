"""The small synthetic reference editions that ship with the project, for the demo and for rule cases."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rules_service.claim.parties import ClaimStruct
from rules_service.packs.read import read_yaml
from rules_service.primitives.canonical import sha256_hex
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.lookups import Edition
from rules_service.reference.publishers import parse_table
from rules_service.reference.readers import reader_of
from rules_service.reference.source_files import SourceFile


class SampleEdition(ClaimStruct, frozen=True):
    """One edition: its table, label, coverage and files in the publisher's layout."""

    name: str
    edition: str
    coverage_from: date
    files: tuple[str, ...]
    coverage_through: date | None = None
    is_partial: bool = False


class SamplesFile(ClaimStruct, frozen=True):
    """editions.yaml."""

    editions: tuple[SampleEdition, ...]


def read_samples(folder: Path) -> list[tuple[SampleEdition, list[SourceFile]]]:
    """The sample editions and their files."""
    listing, _ = read_yaml(folder / "editions.yaml", folder, SamplesFile)
    return [(one, [SourceFile(name, (folder / name).read_bytes()) for name in one.files]) for one in listing.editions]


def sample_editions(folder: Path) -> list[Edition]:
    """The sample editions, parsed and ready to look up. They are the whole world of the packs' cases, so none is partial here."""
    found = []
    for one, files in read_samples(folder):
        coverage = EffectivePeriod(one.coverage_from, one.coverage_through)
        blob = parse_table(one.name, files, coverage).blob
        found.append(memory_edition(one.name, one.edition, blob, coverage))
    return found


def memory_edition(name: str, label: str, blob: bytes, coverage: EffectivePeriod, epoch: int = 0) -> Edition:
    """An edition held in memory."""
    reader = reader_of(blob)
    return Edition(name, label, sha256_hex(blob), coverage, epoch, lambda: reader)
