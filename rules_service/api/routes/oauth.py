"""OAuth 2 token endpoint and its metadata. Errors there have the form of RFC 6749, which its clients expect."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from rules_service.api.bodies import only_query, read_body
from rules_service.api.describe import problems
from rules_service.api.examples import OAUTH
from rules_service.api.state import state_of
from rules_service.primitives.scopes import SCOPES
from rules_service.services.assertions import ALGORITHMS
from rules_service.services.tokens import TokenRefused

router = APIRouter(tags=["oauth"])
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"
_FIELDS = ("grant_type", "client_assertion_type", "client_assertion", "scope")
_OPEN: dict[str, Any] = {"security": [], "x-scope": "none"}
_TEXT = {"type": "string"}
_BODY = {
    "required": True,
    "content": {FORM: {"schema": {"type": "object", "required": list(_FIELDS[:3]), "properties": dict.fromkeys(_FIELDS, _TEXT)}}},
}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {"access_token": _TEXT, "token_type": _TEXT, "expires_in": {"type": "integer"}, "scope": _TEXT},
}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT, "error_description": _TEXT}}


def _json(description: str, schema: dict[str, Any], status: int = 200) -> dict[str, Any]:
    example = {"example": OAUTH[status]} if status in OAUTH else {}
    return {"description": description, "content": {"application/json": {"schema": schema, **example}}}


@router.post("/v1/oauth/token", operation_id="issueToken", response_class=JSONResponse, responses={200: _json("An access token", _TOKEN), 400: _json("RFC 6749 section 5.2", _ERROR, 400), 401: _json("The client is not authenticated", _ERROR, 401), **problems(413, 415)}, openapi_extra={**_OPEN, "requestBody": _BODY})  # fmt: skip
async def issue_token(request: Request) -> JSONResponse:
    """Client credentials with private_key_jwt: an assertion signed with a registered key gives a token for ten minutes."""
    only_query(request)
    body = await read_body(request, (FORM,), 16 << 10)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=10)
    except ValueError:
        return _refused(TokenRefused("invalid_request", "The body is not a form."))
    form = dict(pairs)
    if len(form) != len(pairs) or not set(form) <= set(_FIELDS):
        return _refused(TokenRefused("invalid_request", f"The fields are {', '.join(_FIELDS)}, each once."))
    if form.get("grant_type") != "client_credentials":
        return _refused(TokenRefused("unsupported_grant_type", "grant_type is client_credentials."))
    if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
        return _refused(TokenRefused("invalid_client", f"Send client_assertion with client_assertion_type={ASSERTION_TYPE}."))
    try:
        issued = await asyncio.to_thread(
            state_of(request).tokens.issue, form["client_assertion"], form.get("scope"), request.scope.get("request_id")
        )
    except TokenRefused as refusal:
        return _refused(refusal)
    answer = {"access_token": issued.token, "token_type": "bearer", "expires_in": issued.seconds, "scope": " ".join(issued.scopes)}
    return JSONResponse(answer)


def _refused(refusal: TokenRefused) -> JSONResponse:
    status = 401 if refusal.error == "invalid_client" else 400
    return JSONResponse({"error": refusal.error, "error_description": refusal.description}, status)


@router.get("/.well-known/oauth-authorization-server", operation_id="oauthMetadata", openapi_extra=_OPEN)
def metadata(request: Request) -> dict[str, Any]:
    """RFC 8414: where tokens are given, and to which assertions."""
    audience = state_of(request).tokens.audience
    return {
        "issuer": audience.removesuffix("/v1/oauth/token"),
        "token_endpoint": audience,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": sorted(SCOPES),
        "response_types_supported": [],
    }
