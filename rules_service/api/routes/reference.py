"""Reference tables and their editions: listed, and loaded from the files as their publishers ship them."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures.process import BrokenProcessPool
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from rules_service.api import governance_schemas as g
from rules_service.api import schemas as s
from rules_service.api.bodies import only_query, read_body
from rules_service.api.describe import problems, raw_body, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.routes.change_requests import change_request_answer
from rules_service.api.state import actor_of, needs, permitted, state_of
from rules_service.primitives.errors import StorageUnavailable
from rules_service.reference.publishers import TABLES, parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.services.load_reference import Upload, coverage_of
from rules_service.storage import catalog
from rules_service.storage.change_requests import ChangeRequestRecord
from rules_service.storage.clients import Principal

router = APIRouter(tags=["reference"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("reference:read"))]
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,60}\Z")
_FILE = re.compile(r"[A-Za-z0-9._-]{1,120}\Z")


def _records(request: Request, tenant_id: str) -> list[catalog.EditionRecord]:
    with state_of(request).database.reading() as connection:
        return catalog.editions(connection, tenant_id, catalog.current_epoch(connection, tenant_id))


def _edition(record: catalog.EditionRecord) -> s.EditionAnswer:
    return s.EditionAnswer(
        name=record.name, edition=record.edition, catalog_epoch=record.epoch, sha256=record.sha256, coverage_from=record.coverage.first,
        coverage_through=record.coverage.last, rows=record.rows, partial=record.is_partial, sources=[dict(source) for source in record.sources], loaded_at=record.loaded_at, loaded_by=record.loaded_by,
    )  # fmt: skip


@router.get("/v1/reference-tables", operation_id="listReferenceTables", openapi_extra=scoped("reference:read"))
def list_tables(request: Request, caller: Reader) -> s.TableList:
    """Reference tables this service knows."""
    records = _records(request, caller.tenant_id)
    return s.TableList(
        data=[
            s.TableAnswer(
                name=table.name, title=table.title, mode=table.mode, editions=sum(record.name == table.name for record in records)
            )
            for _, table in sorted(TABLES.items())
        ]
    )


@router.get("/v1/reference-tables/{name}/editions", operation_id="listEditions", openapi_extra=scoped("reference:read"))
def list_editions(name: str, request: Request, caller: Reader) -> s.EditionList:
    """Editions of a table."""
    if name not in TABLES:
        raise ProblemError("not-found")
    return s.EditionList(data=[_edition(record) for record in _records(request, caller.tenant_id) if record.name == name])


def _query(name: str, required: bool, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string"}, "description": description}


@router.post(
    "/v1/reference-tables/{name}/editions",
    operation_id="loadEdition",
    status_code=201,
    response_model=s.EditionAnswer,
    responses={
        202: {"model": g.ChangeRequestAnswer, "description": "A change request, in review"},
        **problems(400, 409, 413, 415, 422, 503),
    },
    openapi_extra=raw_body(
        "text/plain",
        "reference:write",
        "The publisher's file",
        [
            _query("edition", True, "Label, for instance 2026Q4"),
            _query("coverage_from", True, "First day the edition answers for"),
            _query("coverage_through", False, "Last day, when it has one"),
            _query("file_name", True, "Name of the file, for error messages"),
            _query("accept_census", False, "true: accept a row count far from the edition before"),
            _query("partial", False, "true: the file is an extract; of codes outside it nothing is known"),
        ],
    ),
)
async def load_edition(name: str, request: Request) -> Response:
    """An edition: the first of a table is published, every later one becomes a change request for review (202).

    A bad row is reported with file and line, and nothing is half-loaded.
    """
    principal = await asyncio.to_thread(permitted, request, "reference:write")
    state = state_of(request)
    only_query(request, "edition", "coverage_from", "coverage_through", "file_name", "accept_census", "partial")
    if name not in TABLES:
        raise ProblemError("not-found")
    query = request.query_params
    label, file_name = query.get("edition", ""), query.get("file_name", "")
    if not _LABEL.match(label) or not _FILE.match(file_name):
        raise ProblemError("bad-request", "edition and file_name are letters, digits, dots, dashes and underscores.")
    coverage = coverage_of(query.get("coverage_from", ""), query.get("coverage_through"))
    data = await read_body(request, ("text/plain", "text/csv", "text/tab-separated-values"), state.settings.max_reference_bytes)
    files = [SourceFile(file_name, data)]
    try:
        parsed = await asyncio.get_running_loop().run_in_executor(
            state.pool, parse_table, name, files, coverage, query.get("partial") == "true"
        )
    except BrokenProcessPool:
        state.forget_pool()
        raise StorageUnavailable("the process that parses reference files ended") from None
    accept = query.get("accept_census") == "true"
    upload = Upload(name, label, coverage, parsed, files)
    loaded = await asyncio.to_thread(state.editions.take, actor_of(request, principal), upload, accept)
    if isinstance(loaded, ChangeRequestRecord):
        view = await asyncio.to_thread(state.change_control.read, actor_of(request, principal), loaded.change_request_id)
        answer = change_request_answer(view).model_dump(mode="json")
        return JSONResponse(answer, 202, {"Location": f"/v1/change-requests/{loaded.change_request_id}"})
    request.scope["catalog_epoch"] = (await asyncio.to_thread(state.snapshots.refresh, principal.tenant_id)).epoch
    published = next(
        record
        for record in reversed(_records(request, principal.tenant_id))
        if record.name == name and record.edition == label and record.epoch == loaded.epoch
    )
    return JSONResponse(_edition(published).model_dump(mode="json"), 201)


@router.get("/v1/change-requests/{change_request_id}/edition", operation_id="getProposedEdition", openapi_extra=scoped("reference:read"))
def proposed_edition(change_request_id: str, request: Request, caller: Reader) -> s.ProposedEditionAnswer:
    """The edition a change request proposes, and what it says otherwise than the one before."""
    found = state_of(request).editions.proposal(actor_of(request, caller), change_request_id)
    return s.ProposedEditionAnswer(
        change_request_id=found.change_request_id, name=found.name, edition=found.edition, coverage_from=found.coverage.first,
        coverage_through=found.coverage.last, sha256=found.sha256, rows=found.rows, sources=[dict(one) for one in found.sources],
        accepted_census=found.accepted_census, difference=dict(found.report),
    )  # fmt: skip
