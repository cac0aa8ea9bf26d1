"""The service with two echo routes beside it: same process, same authentication, async, an answer of equal size.

`/bench/echo` is the textbook FastAPI way: the claim as a pydantic model, unknown fields refused (generated from the same structures) in and a
response model out. `/bench/echo-msgspec` decodes with our own strict decoder and sends the bytes back.
"""

from __future__ import annotations

import os
import types
import typing
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, create_model

from rules_service.api.app import create_app
from rules_service.api.bodies import read_body
from rules_service.api.state import allowed
from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.native.json_claims import claim_of
from rules_service.primitives.money import Money, Quantity

PADDING = "x" * int(os.environ.get("BENCH_ANSWER_BYTES", "0"))
_models: dict[type, type[BaseModel]] = {}


def _annotation(kind: Any) -> Any:
    if kind in (Money, Quantity):
        return str
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return model_of(kind)
    arguments = typing.get_args(kind)
    if arguments and typing.get_origin(kind) is not typing.Literal:
        changed = tuple(_annotation(one) for one in arguments)
        origin = typing.get_origin(kind)
        if origin in (typing.Union, types.UnionType):
            return typing.Union[changed]  # noqa: UP007  built from values
        return origin[changed]  # type: ignore[index]
    return kind


def model_of(struct: type[msgspec.Struct]) -> type[BaseModel]:
    """A pydantic model of a claim structure, unknown fields refused. (pydantic strictness cannot be used behind FastAPI, which hands it parsed JSON.)"""
    if struct not in _models:
        fields = {}
        for field in msgspec.structs.fields(struct):
            default = ... if field.required else (() if field.default is msgspec.NODEFAULT else field.default)
            fields[field.encode_name if field.encode_name != "from" else "from_"] = (_annotation(field.type), default)
        _models[struct] = create_model(struct.__name__, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    return _models[struct]


ClaimModel = model_of(Claim)
Echo = create_model("Echo", claim=(ClaimModel, ...), padding=(str, ...))


def create() -> FastAPI:
    """The application with its echo routes."""
    app = create_app()

    @app.post("/bench/echo", response_model=Echo)
    async def echo(claim: ClaimModel, request: Request) -> Any:  # type: ignore[valid-type]
        allowed(request, "claims:validate")
        return Echo(claim=claim, padding=PADDING)

    @app.post("/bench/echo-msgspec", response_class=Response)
    async def echo_msgspec(request: Request) -> Response:
        allowed(request, "claims:validate")
        claim = claim_of(await read_body(request, ("application/json",), 1 << 20))
        return Response(b'{"claim":' + encode_json(claim) + b',"padding":"' + PADDING.encode() + b'"}', media_type="application/json")

    return app
