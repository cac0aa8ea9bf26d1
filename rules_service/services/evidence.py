"""The evidence file of one evaluation: what was judged by which rules, who approved them, and the proof that it is what was sealed.

One zip of JSON documents without PHI: the claim itself stands in it only as its hash. The same evaluation gives the same bytes until
something new is known of it (a seal, an approval).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection

from rules_service.primitives.canonical import canonical_bytes, sha256_hex
from rules_service.rules.rule import Manifest
from rules_service.services.acting import Actor, now_utc
from rules_service.services.validate_claim import with_control_number
from rules_service.storage import audit_log, catalog, change_requests, evaluations, evidence
from rules_service.storage.catalog import PublicationRecord
from rules_service.storage.database import Database
from rules_service.storage.evidence import EvaluationSummary
from rules_service.workflow.merkle import inclusion

MAX_EVENTS = 200
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same content gives the same bytes."""


class Evidence:
    """Makes evidence files. Each is itself an audit event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, tenant_id: str, limit: int, **wanted: Any) -> list[EvaluationSummary]:
        """Evaluations newest first that match what is given, as storage/evidence.py names it."""
        with self._database.reading() as connection:
            return evidence.search(connection, tenant_id, limit, **wanted)

    def file(self, actor: Actor, evaluation_id: str) -> bytes:
        """The zip; NotFound for an evaluation the tenant does not have."""
        with self._database.reading() as connection:
            members = dict(self._members(connection, actor.tenant_id, evaluation_id))
        members["manifest.json"] = {
            "evaluation_id": evaluation_id,
            "sha256": {name: sha256_hex(_bytes(one)) for name, one in sorted(members.items())},
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(members):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), _bytes(members[name]))
        body = packed.getvalue()
        with self._database.writing() as connection:
            event = actor.event("evaluation.evidence_made", "evaluation", evaluation_id, sha256=sha256_hex(body))
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
        return body

    def _members(self, connection: Connection, tenant_id: str, evaluation_id: str) -> Iterable[tuple[str, Any]]:
        stored = evaluations.read_evaluation(connection, tenant_id, evaluation_id)
        body = with_control_number(stored.body, None)
        document = msgspec.json.decode(body)
        yield "evaluation.json", body
        yield "input.json", {"input_sha256": document["pins"]["input_sha256"], "is_erased": stored.sealed is None}
        told = {one["rule_id"] for name in ("findings", "bypassed", "not_evaluated") for one in document[name]}
        for pin in document["pins"]["publications"]:
            records = catalog.publications_of(connection, tenant_id, pin["rule_set_id"])
            record = next(one for one in records if one.number == pin["number"])
            name = f"publications/{pin['rule_set_id']}-{pin['number']}"
            yield f"{name}/publication.json", _publication(record)
            yield f"{name}/rules.json", _rules(connection, tenant_id, record.manifest, told)
            yield f"{name}/approvals.json", _approvals(connection, tenant_id, record)
        yield "reference_tables.json", document["pins"]["reference_tables"]
        yield "seal.json", self._proof(connection, tenant_id, evaluation_id)
        yield "audit_events.json", _events(connection, tenant_id, "evaluation", evaluation_id)

    def _proof(self, connection: Connection, tenant_id: str, evaluation_id: str) -> dict[str, Any] | None:
        """The evaluation's leaf, its audit path to the root (RFC 6962), and the signed seal; none until it is sealed."""
        leaf = evidence.leaf_of(connection, tenant_id, evaluation_id)
        if leaf is None:
            return None
        leaves = evidence.leaves_of(connection, tenant_id, leaf.number)
        path = inclusion([bytes.fromhex(hashed) for _, hashed, _ in leaves], leaf.position)
        seal = next(one for one in evidence.seals(connection, tenant_id) if one.number == leaf.number)
        data = leaves[leaf.position][2]
        return {
            "leaf": None if data is None else data.decode(),
            "leaf_hash": leaf.hash,
            "position": leaf.position,
            "audit_path": [step.hex() for step in path],
            "seal": {name: getattr(seal, name) for name in seal.__slots__},
        }


def _bytes(member: Any) -> bytes:
    return member if isinstance(member, bytes) else msgspec.json.format(canonical_bytes(member)) + b"\n"


def _publication(record: PublicationRecord) -> dict[str, Any]:
    names = ("rule_set_id", "number", "epoch", "sha256", "published_at", "published_by", "source_sha256", "manifest")
    return {name: msgspec.to_builtins(getattr(record, name)) for name in names}


def _rules(connection: Connection, tenant_id: str, manifest: Manifest, told: set[str]) -> list[Any]:
    """The contents, with citations, of the rules the evaluation speaks of."""
    windows = [window for window in manifest.windows if window.rule_id in told]
    found = catalog.contents(connection, tenant_id, {window.sha256 for window in windows})
    return [{"window": msgspec.to_builtins(window), "content": msgspec.to_builtins(found[window.sha256])} for window in windows]


def _approvals(connection: Connection, tenant_id: str, record: PublicationRecord) -> dict[str, Any]:
    """Who proposed and who approved the publication, and the audit events of it; without a change request it was loaded."""
    request = change_requests.of_publication(connection, tenant_id, record)
    if request is None:
        return {"change_request": None, "audit_events": _events(connection, tenant_id, "rule_set", record.rule_set_id)}
    reviews = change_requests.reviews(connection, tenant_id, request.change_request_id)
    return {
        "change_request": {name: msgspec.to_builtins(getattr(request, name)) for name in request.__slots__},
        "authors": list(change_requests.authors(connection, tenant_id, request.change_request_id)),
        "reviews": [{name: msgspec.to_builtins(getattr(one, name)) for name in one.__slots__} for one in reviews],
        "audit_events": _events(connection, tenant_id, "change_request", request.change_request_id),
    }


def _events(connection: Connection, tenant_id: str, object_type: str, object_id: str) -> list[dict[str, Any]]:
    found = audit_log.events(connection, tenant_id, None, MAX_EVENTS, object_type=object_type, object_id=object_id)
    return [{"seq": one.seq, "prev_hash": one.prev_hash, "hash": one.hash, "body": one.body.decode()} for one in reversed(found)]
