"""Every operation of the contract against every kind of caller: as its declared scope says."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from rules_service.primitives.scopes import ROLES, SCOPES
from rules_service.services.manage_clients import add_client
from rules_service.storage import clients
from rules_service.storage.database import Database
from tests.support.generate import ROOT
from tests.support.server import Server, new_key

DOCUMENT = json.loads((ROOT / "openapi/openapi.json").read_text())
OPERATIONS = [
    (method.upper(), path, operation["x-scope"])
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
]
GUARDED = [one for one in OPERATIONS if one[2] != "none"]


def filled(path: str) -> str:
    """The path with names of nothing in its places."""
    return re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] == "number" else "nothing", path)


@pytest.fixture(scope="module")
def callers(server: Server) -> dict[str, str]:
    """Keys by role, and of a client with each scope but one."""
    database = Database(server.url)
    try:
        roles = {role: new_key(database, "matrix", list(scopes)) for role, scopes in ROLES.items()}
        roles["expired"] = expired_token(database)
        lacking = {f"all but {scope}": new_key(database, "matrix", sorted(set(SCOPES) - {scope})) for scope in SCOPES}
    finally:
        database.close()
    return {**roles, **lacking}


def expired_token(database: Database) -> str:
    """A token of a client with every scope, that was given an hour ago for ten minutes."""
    client_id, _ = add_client(database, "matrix", "expired", SCOPES, "tests")
    then = datetime.now(UTC) - timedelta(hours=1)
    with database.writing() as connection:
        record = clients.find_client(connection, client_id)
        return clients.add_token(connection, record, "jti", then, SCOPES, then, then + timedelta(minutes=10))


def ask(server: Server, method: str, path: str, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.request(method, server.base_url + filled(path), headers=headers, timeout=60, trust_env=False)


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED, ids=[f"{method} {path}" for method, path, _ in GUARDED])
def test_an_operation_answers_those_its_scope_names_and_nobody_else(
    server: Server, callers: dict[str, str], method: str, path: str, scope: str
) -> None:
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer nobody",
        "Basic YTpi",
        f"Token {server.key}",
        "Bearer " + "x" * 5_000,
        f"Bearer {callers['expired']}",
    ):
        answer = ask(server, method, path, authorization)
        assert answer.status_code == 401, (authorization, answer.text)
        assert answer.json()["type"] == "/problems/unauthenticated"
    for role, scopes in ROLES.items():
        answer = ask(server, method, path, f"Bearer {callers[role]}")
        if scope in scopes:
            assert answer.status_code not in (401, 403, 500), (role, answer.text)
        else:
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/insufficient-scope"), role
    lacking = ask(server, method, path, f"Bearer {callers[f'all but {scope}']}")
    assert (lacking.status_code, scope in lacking.json()["detail"]) == (403, True)


def test_every_scope_guards_something_and_every_role_s_scopes_exist() -> None:
    assert {scope for _, _, scope in GUARDED} | {"rules:publish_retroactive", "waivers:standing"} == set(SCOPES)
    for scopes in ROLES.values():
        assert set(scopes) <= set(SCOPES)


def test_an_auditor_changes_nothing() -> None:
    changing = {
        scope
        for method, path, scope in GUARDED
        if method in ("PUT", "DELETE", "PATCH") or (method == "POST" and not any(one in path for one in ("audit", "replay", "search")))
    }
    assert not changing & set(ROLES["auditor"])


def test_nobody_s_role_lets_them_review_what_they_write() -> None:
    for role, scopes in ROLES.items():
        assert not {"rules:write", "rules:review"} <= set(scopes), role
