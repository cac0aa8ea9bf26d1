"""What is published: payers, rule sets, publications, kinds, facts, finding codes, capabilities."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request

from rules_service.api import schemas as s
from rules_service.api.describe import problems, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.state import needs, state_of
from rules_service.claim.canonical import MAX_LINES
from rules_service.claim.codec import schema_value
from rules_service.engine.policy import Publication, complete_branches
from rules_service.facts.catalogue import CATALOGUE
from rules_service.formats.fhir.orders import MAX_ORDERS
from rules_service.formats.native.json_claims import MAX_BATCH
from rules_service.formats.x12.claims_837 import MAX_CLAIMS
from rules_service.primitives.unknown import REASONS
from rules_service.rules.condition import operators_for
from rules_service.rules.kinds import KINDS
from rules_service.services.claim_files import MAX_CLAIMS as MAX_JOB_CLAIMS
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import catalog
from rules_service.storage.catalog import PublicationRecord
from rules_service.storage.clients import Principal

router = APIRouter(tags=["catalog"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("rules:read"))]
Caller = Annotated[Principal, Depends(needs("claims:validate"))]
_READ = scoped("rules:read")


def _records(request: Request, caller: Principal, rule_set_id: str) -> list[PublicationRecord]:
    with state_of(request).database.reading() as connection:
        return catalog.publications_of(connection, caller.tenant_id, rule_set_id)


def _latest(request: Request, caller: Principal) -> list[PublicationRecord]:
    with state_of(request).database.reading() as connection:
        return catalog.latest_publications(connection, caller.tenant_id, catalog.current_epoch(connection, caller.tenant_id))


def _publication(record: PublicationRecord) -> s.PublicationAnswer:
    return s.PublicationAnswer(
        rule_set_id=record.rule_set_id, number=record.number, catalog_epoch=record.epoch, sha256=record.sha256, published_at=record.published_at,
        published_by=record.published_by,
    )  # fmt: skip


@router.get("/v1/payers", operation_id="listPayers", openapi_extra=_READ)
def list_payers(request: Request, caller: Reader) -> s.PayerList:
    """Payers with their ids and aliases."""
    records = state_of(request).snapshots.current(caller.tenant_id).payers.records
    return s.PayerList(data=[_payer(record) for _, record in sorted(records.items())])


def _payer(record: catalog.PayerRecord) -> s.PayerAnswer:
    return s.PayerAnswer(
        payer_id=record.payer_id,
        name=record.name,
        line_of_business=record.line_of_business,
        parent=record.parent,
        aliases=dict(record.aliases),
    )


@router.get("/v1/payers/{payer_id}", operation_id="getPayer", openapi_extra=_READ)
def get_payer(payer_id: str, request: Request, caller: Reader) -> s.PayerAnswer:
    """One payer."""
    record = state_of(request).snapshots.current(caller.tenant_id).payers.records.get(payer_id)
    if record is None:
        raise ProblemError("not-found")
    return _payer(record)


@router.get("/v1/rule-sets", operation_id="listRuleSets", openapi_extra=_READ)
def list_rule_sets(request: Request, caller: Reader) -> s.RuleSetList:
    """Rule sets with their current publication."""
    return s.RuleSetList(data=[_rule_set(record) for record in _latest(request, caller)])


def _rule_set(record: PublicationRecord) -> s.RuleSetAnswer:
    manifest = record.manifest
    return s.RuleSetAnswer(
        rule_set_id=record.rule_set_id, title=manifest.title, evidence=manifest.evidence, scope=msgspec.to_builtins(manifest.scope),
        current=_publication(record), rules=len({window.rule_id for window in manifest.windows}),
    )  # fmt: skip


@router.get("/v1/rule-sets/{rule_set_id}", operation_id="getRuleSet", openapi_extra=_READ)
def get_rule_set(rule_set_id: str, request: Request, caller: Reader) -> s.RuleSetAnswer:
    """One rule set."""
    records = _records(request, caller, rule_set_id)
    if not records:
        raise ProblemError("not-found")
    return _rule_set(records[-1])


@router.get("/v1/rule-sets/{rule_set_id}/publications", operation_id="listPublications", openapi_extra=_READ)
def list_publications(rule_set_id: str, request: Request, caller: Reader) -> s.PublicationList:
    """Every publication of a rule set, newest first."""
    records = _records(request, caller, rule_set_id)
    if not records:
        raise ProblemError("not-found")
    return s.PublicationList(data=[_publication(record) for record in reversed(records)])


@router.get(
    "/v1/rule-sets/{rule_set_id}/publications/{number}", operation_id="getPublication", responses=problems(422), openapi_extra=_READ
)
def get_publication(rule_set_id: str, number: int, request: Request, caller: Reader) -> s.PublicationDetail:
    """One publication with its windows."""
    record = next((one for one in _records(request, caller, rule_set_id) if one.number == number), None)
    if record is None:
        raise ProblemError("not-found")
    manifest = record.manifest
    windows = [
        s.WindowAnswer(
            rule_id=one.rule_id,
            version=one.version,
            sha256=one.sha256,
            effective_from=one.effective_from,
            effective_through=one.effective_through,
        )
        for one in manifest.windows
    ]
    return s.PublicationDetail(
        **_publication(record).model_dump(), title=manifest.title, evidence=manifest.evidence, scope=msgspec.to_builtins(manifest.scope), windows=windows,
        tables=[{"name": table.name, "sha256": table.sha256} for table in manifest.tables],
    )  # fmt: skip


@router.get("/v1/rule-kinds", operation_id="listRuleKinds", openapi_extra=_READ)
def list_rule_kinds(request: Request, caller: Reader) -> s.KindList:
    """Every kind with the JSON Schema of its parameters."""
    live = state_of(request).snapshots.current(caller.tenant_id).publications
    return s.KindList(data=[_kind(name, live) for name in sorted(KINDS)])


def _kind(name: str, live: list[Publication]) -> s.KindAnswer:
    kind = KINDS[name]
    codes = {
        branch.code
        for publication in live
        for content in publication.contents.values()
        if content.kind == name
        for branch in complete_branches(content)
        if branch.severity
    }
    return s.KindAnswer(
        name=name, title=kind.title, levels=list(kind.levels), parameters=msgspec.json.schema(kind.parameters, schema_hook=schema_value),
        facts=[{"name": spec.name, "type": spec.type, "description": spec.description, "operators": list(operators_for(spec.type))} for spec in kind.specs.values()],
        finding_codes=sorted(codes),
    )  # fmt: skip


@router.get("/v1/fact-catalogue", operation_id="listFacts", openapi_extra=_READ)
def list_facts(caller: Reader) -> s.FactList:
    """Every fact a condition may name, typed, with its operators."""
    return s.FactList(
        data=[
            s.FactAnswer(
                name=spec.name,
                type=spec.type,
                level=spec.level,
                description=spec.description,
                phi=spec.phi,
                operators=list(operators_for(spec.type)),
            )
            for spec in (fact.spec for _, fact in sorted(CATALOGUE.items()))
        ]
    )


@router.get("/v1/finding-codes", operation_id="listFindingCodes", openapi_extra=scoped("claims:validate"))
def list_finding_codes(request: Request, caller: Caller) -> s.FindingCodeList:
    """Every finding code the live rules can return."""
    found: dict[str, tuple[str, str, str, set[str]]] = {}
    for publication in state_of(request).snapshots.current(caller.tenant_id).publications:
        for content in publication.contents.values():
            for branch in complete_branches(content):
                if branch.severity is not None and content.stage == "stable":
                    found.setdefault(branch.code, (branch.title, branch.severity, branch.category, set()))[3].add(content.rule_id)
    return s.FindingCodeList(
        data=[
            s.FindingCodeAnswer(code=code, title=title, severity=severity, category=category, rule_ids=sorted(rules))
            for code, (title, severity, category, rules) in sorted(found.items())
        ]
    )


@router.get("/v1/capabilities", operation_id="getCapabilities", openapi_extra=scoped("claims:validate"))
def get_capabilities(request: Request, caller: Caller) -> s.Capabilities:
    """Payers, claim types, formats, limits and the live epoch."""
    state = state_of(request)
    snapshot = state.snapshots.current(caller.tenant_id)
    settings = state.settings
    return s.Capabilities(
        catalog_epoch=snapshot.epoch, engine_version=ENGINE_VERSION, claim_types=["professional", "institutional", "dental"], formats=["application/json", "application/x-ndjson", "application/edi-x12 (837P 005010X222A1, 837I 005010X223A2, 837D 005010X224A2)", "application/fhir+json (R4 Claim)"],
        payers=sorted(snapshot.payers.records), rule_sets=[_publication(record) for record in _latest(request, caller)],
        reference_tables=[name for name in snapshot.editions.names() if "/" not in name],
        limits={"claim_bytes": settings.max_validate_bytes, "batch_bytes": settings.max_batch_bytes, "batch_claims": MAX_BATCH, "service_lines": MAX_LINES, "x12_claims": MAX_CLAIMS, "job_claims": MAX_JOB_CLAIMS, "hook_orders": MAX_ORDERS},
        not_evaluated_reasons=REASONS,
    )  # fmt: skip
