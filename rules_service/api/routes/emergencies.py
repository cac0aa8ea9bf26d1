"""Emergencies: switch a rule off, or lower its severity, at once."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from rules_service.api import governance_schemas as g
from rules_service.api.describe import body_of, problems, scoped
from rules_service.api.requests import EmergencyBody, ReasonBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.emergencies import EmergencyRecord

router = APIRouter(tags=["change control"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("rules:read"))]
Officer = Annotated[Principal, Depends(needs("rules:emergency"))]
_PATH = "/v1/rule-sets/{rule_set_id}/emergencies"
_REFUSALS = problems(400, 409, 413, 415, 422)


def _answer(record: EmergencyRecord) -> g.EmergencyAnswer:
    return g.EmergencyAnswer(**{name: getattr(record, name) for name in g.EmergencyAnswer.model_fields})


@router.post(_PATH, operation_id="declareEmergency", status_code=201, responses=_REFUSALS, openapi_extra=body_of(EmergencyBody, "rules:emergency"))  # fmt: skip
async def declare_emergency(rule_set_id: str, request: Request, caller: Officer) -> g.EmergencyAnswer:
    """Switch a rule off, or hold it to a lower severity, from this answer on and for seven days; a change request makes it lasting."""
    body = await read_struct(request, EmergencyBody)
    state = state_of(request)
    record = await asyncio.to_thread(
        state.emergencies.declare, actor_of(request, caller), rule_set_id, body.rule_id, body.severity, body.reason
    )
    request.scope["catalog_epoch"] = (await asyncio.to_thread(state.snapshots.refresh, caller.tenant_id)).epoch
    return _answer(record)


@router.get(_PATH, operation_id="listEmergencies", openapi_extra=scoped("rules:read"))
def list_emergencies(rule_set_id: str, request: Request, caller: Reader) -> g.EmergencyList:
    """Every emergency of a rule set, newest first."""
    found = state_of(request).emergencies.listed(actor_of(request, caller), rule_set_id)
    return g.EmergencyList(data=[_answer(record) for record in found])


@router.post(_PATH + "/{emergency_id}/withdrawal", operation_id="withdrawEmergency", responses=_REFUSALS, openapi_extra=body_of(ReasonBody, "rules:emergency"))  # fmt: skip
async def withdraw_emergency(rule_set_id: str, emergency_id: str, request: Request, caller: Officer) -> g.EmergencyAnswer:
    """End an emergency before its time; the rule stands as before."""
    body = await read_struct(request, ReasonBody)
    state = state_of(request)
    record = await asyncio.to_thread(state.emergencies.withdraw, actor_of(request, caller), rule_set_id, emergency_id, body.reason)
    request.scope["catalog_epoch"] = (await asyncio.to_thread(state.snapshots.refresh, caller.tenant_id)).epoch
    return _answer(record)
