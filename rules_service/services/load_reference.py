"""Load an edition of a reference table: parse, census, publish under a new epoch, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from rules_service.primitives.canonical import sha256_hex
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, ReferenceFault
from rules_service.reference.code_set_files import icd10cm_rows
from rules_service.reference.policy_files import diagnosis_list_rows, excluded_codes, excludes1_rows
from rules_service.reference.publishers import census_issue
from rules_service.reference.source_files import ParsedTable, SourceFile
from rules_service.storage import audit_log, catalog
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event

ICD10_PACKAGE = "simple-icd-10-cm"
ICD10_TABLES = ("icd10cm", "icd10cm_excludes1", "diagnosis_sides")


@dataclass(frozen=True, slots=True)
class LoadedEdition:
    """What a load published."""

    name: str
    edition: str
    epoch: int
    sha256: str
    rows: int
    rows_before: int | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A parsed file of a publisher, and what it is said to be."""

    name: str
    label: str
    coverage: EffectivePeriod
    parsed: ParsedTable
    files: list[SourceFile]


def icd10_upload(name: str, label: str, coverage: EffectivePeriod) -> Upload:
    """A table the installed package `simple-icd-10-cm` carries: `icd10cm`, its Excludes1 notes, or the sides its titles name."""
    import simple_icd_10_cm as icd  # here, because importing it reads the whole classification into memory

    codes = [code for code in icd.get_all_codes(with_dots=True) if not icd.is_block(code) and not icd.is_chapter(code)]
    pairs: list[tuple[str, str]]
    if name == "icd10cm":
        billable = [(code, bool(icd.is_leaf(code))) for code in codes]
        pairs, parsed = [(code, str(int(leaf))) for code, leaf in billable], icd10cm_rows(billable, coverage)
    elif name == "icd10cm_excludes1":
        pairs = [(code, excluded) for code in codes for note in icd.get_excludes1(code) for excluded in excluded_codes(note)]
        parsed = excludes1_rows(pairs, coverage)
    elif name == "diagnosis_sides":
        pairs = [(code, side) for code in codes if icd.is_leaf(code) and (side := _side(icd.get_description(code))) is not None]
        parsed = diagnosis_list_rows(pairs, coverage)
    else:
        issue = Issue("unknown_table", name, "The package has no such table.", f"It has: {', '.join(ICD10_TABLES)}.")
        raise ReferenceFault("The package cannot be used", [issue])
    source = SourceFile(ICD10_PACKAGE, "\n".join(f"{one} {other}" for one, other in pairs).encode())
    return Upload(name, label, coverage, parsed, [source])


def _side(title: str) -> str | None:
    """The side a code's title names, when it names one."""
    words = set(title.lower().replace(",", " ").split())
    named = [side for side in ("right", "left", "bilateral") if side in words]
    return named[0] if len(named) == 1 else None


def load_parsed(database: Database, tenant_id: str, upload: Upload, who: str, accept_census: bool) -> LoadedEdition:
    """Publish a parsed edition directly: a table's first, or for a demonstration. Later ones go by edition_review.py."""
    now, name, label, rows = datetime.now(UTC), upload.name, upload.label, upload.parsed.rows
    with database.writing() as connection:
        catalog.ensure_tenant(connection, tenant_id, tenant_id, now)
        epoch = catalog.current_epoch(connection, tenant_id)
        known = [record for record in catalog.editions(connection, tenant_id, epoch) if record.name == name]
        before = known[-1].rows if known else None
        issue = census_issue(name, rows, before)
        if issue is not None and not accept_census:
            raise ReferenceFault("The census does not fit: nothing was loaded", [issue])
        sha256 = sha256_hex(upload.parsed.blob)
        same = max((record for record in known if record.edition == label), key=lambda record: record.epoch, default=None)
        if same is not None and same.sha256 == sha256 and same.coverage == upload.coverage:
            return LoadedEdition(name, label, same.epoch, same.sha256, rows, before)
        content = catalog.EpochContent()
        content.editions.append((name, label, upload.coverage, upload.parsed.blob, rows, sources_of(upload)))
        epoch = catalog.publish(connection, tenant_id, content, who, f"reference edition {name} {label}", now)
        details = {"edition": label, "sha256": sha256, "rows": rows, "rows_before": before, "accepted_census": issue is not None, "catalog_epoch": epoch}  # fmt: skip
        audit_log.append(connection, tenant_id, now, Event(who, "reference_edition.published", "reference_table", name, details=details))
    return LoadedEdition(name, label, epoch, sha256, rows, before)


def sources_of(upload: Upload) -> list[dict[str, Any]]:
    """The files an edition came from, by name, hash and size; `partial` when they are an extract of the published table."""
    extract = {"partial": True} if upload.parsed.is_partial else {}
    return [{"name": file.name, "sha256": sha256_hex(file.data), "bytes": len(file.data), **extract} for file in upload.files]


def coverage_of(first: str, last: str | None) -> EffectivePeriod:
    """A declared coverage from two dates; ReferenceFault says what is wrong with them."""
    try:
        return EffectivePeriod(date.fromisoformat(first), date.fromisoformat(last) if last else None)
    except ValueError:
        issue = Issue("coverage", "coverage", "The coverage is not two dates, the first not after the last.", "Give dates as YYYY-MM-DD.")
        raise ReferenceFault("The coverage cannot be used", [issue]) from None
