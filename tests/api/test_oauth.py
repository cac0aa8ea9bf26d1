"""OAuth 2 with private_key_jwt: one assertion gives one short-lived token; every forgery gives none."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import DateTime, bindparam, text

from rules_service.primitives.errors import InputError, NotFound
from rules_service.services.acting import now_utc
from rules_service.services.manage_clients import add_client, listed, register_keys, revoke_client, set_scopes
from rules_service.services.public_keys import checked_jwks
from rules_service.storage.database import Database
from tests.support.builders import claim_bytes
from tests.support.governance import Tenant, new_tenant, refused
from tests.support.server import Server

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
EC = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
SCOPES = ("claims:validate", "evaluations:read")
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def public(*keys: RSAKey | ECKey) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def with_database(tenant: Tenant, act: Callable[[Database], Any]) -> Any:
    database = Database(tenant.server.url)
    try:
        return act(database)
    finally:
        database.close()


@pytest.fixture
def client_id(tenant: Tenant) -> str:
    def register(database: Database) -> str:
        made, _ = add_client(database, tenant.tenant_id, "backend", SCOPES, "tests")
        register_keys(database, tenant.tenant_id, made, public(RSA, EC), "tests")
        return made

    return str(with_database(tenant, register))


def audience(tenant: Tenant) -> str:
    return f"{tenant.server.base_url}/v1/oauth/token"


def claims(tenant: Tenant, client: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": client, "sub": client, "aud": audience(tenant), "exp": now + 240, "iat": now, "jti": uuid.uuid4().hex}
    return {name: value for name, value in (told | changes).items() if value is not None}


def signed(told: dict[str, Any], key: Any = RSA, alg: str = "RS384", **header: Any) -> str:
    head = {"alg": alg, "kid": key.kid, "typ": "JWT"} | header
    return jwt.encode({name: value for name, value in head.items() if value is not None}, told, key, algorithms=[alg])


def ask(tenant: Tenant, assertion: str, **more: Any) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion} | more
    return httpx.post(audience(tenant), data=form, trust_env=False, timeout=30)


def token_of(tenant: Tenant, client: str, **more: Any) -> str:
    answer = ask(tenant, signed(claims(tenant, client)), **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def validate(tenant: Tenant, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return httpx.post(f"{tenant.server.base_url}/v1/claims/validate", content=claim_bytes(), headers=headers, trust_env=False, timeout=30)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "RS384"), (RSA, "PS256"), (RSA, "PS384"), (EC, "ES384")])
def test_an_assertion_gives_a_token_with_the_client_s_scopes(tenant: Tenant, client_id: str, key: Any, alg: str) -> None:
    answer = ask(tenant, signed(claims(tenant, client_id), key, alg))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    told = answer.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("bearer", 600, "claims:validate evaluations:read")
    judged = validate(tenant, told["access_token"])
    assert judged.status_code == 200
    assert [event["action"] for event in tenant.events(object_id=client_id)][-1] == "token.issued"


def test_a_token_carries_only_the_scopes_it_was_asked_for(tenant: Tenant, client_id: str) -> None:
    token = token_of(tenant, client_id, scope="evaluations:read")
    refused(validate(tenant, token), 403, "insufficient-scope")
    answer = ask(tenant, signed(claims(tenant, client_id)), scope="rules:publish")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_an_assertion_gives_one_token(tenant: Tenant, client_id: str) -> None:
    assertion = signed(claims(tenant, client_id))
    assert ask(tenant, assertion).status_code == 200
    again = ask(tenant, assertion)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "jti" in again.json()["error_description"]
    assert [event["action"] for event in tenant.events(object_id=client_id)][-2:] == ["token.issued", "token.refused"]


def unsigned(told: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT", "kid": "rsa-1"}, told)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def confused(told: dict[str, Any]) -> str:
    """HS256 with the public key's text as the secret."""
    body = unsigned(told).split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa-1"}).encode()).rstrip(b"=").decode()
    mac = hmac.digest(RSA.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


NOW = int(time.time())
FORGERIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "alg none": unsigned,
    "HS256 keyed with the public key": confused,
    "signed by a stranger under a known kid": lambda told: signed(told, STRANGER),
    "kid of nobody": lambda told: signed(told, kid="../../etc/passwd"),
    "no kid": lambda told: signed(told, kid=None),
    "a key of its own in the header": lambda told: signed(told, STRANGER, jwk=STRANGER.as_dict(private=False)),
    "a jku": lambda told: signed(told, jku="http://127.0.0.1:9/keys"),
    "an x5u": lambda told: signed(told, x5u="http://127.0.0.1:9/cert"),
    "an EC key's kid with an RSA signature": lambda told: signed(told, RSA, kid="ec-1"),
    "an algorithm that is not taken": lambda told: signed(told, RSA, "RS512"),
    "a cut signature": lambda told: signed(told)[:-6],
    "other claims under the same signature": lambda told: ".".join(
        [signed(told).split(".")[0], unsigned(told | {"exp": told["exp"] + 1}).split(".")[1], signed(told).split(".")[2]]
    ),
    "wrong audience": lambda told: signed(told | {"aud": "https://elsewhere.example/token"}),
    "audience of the service but not its endpoint": lambda told: signed(told | {"aud": told["aud"].removesuffix("/v1/oauth/token")}),
    "no audience": lambda told: signed({name: value for name, value in told.items() if name != "aud"}),
    "expired": lambda told: signed(told | {"exp": NOW - 60}),
    "no expiry": lambda told: signed({name: value for name, value in told.items() if name != "exp"}),
    "expires in an hour": lambda told: signed(told | {"exp": told["exp"] + 3_600}),
    "expiry as text": lambda told: signed(told | {"exp": "soon"}),
    "expiry as a fraction": lambda told: signed(told | {"exp": told["exp"] + 0.5}),
    "not yet valid": lambda told: signed(told | {"nbf": told["exp"]}),
    "issued in the future": lambda told: signed(told | {"iat": told["exp"]}),
    "no jti": lambda told: signed({name: value for name, value in told.items() if name != "jti"}),
    "an empty jti": lambda told: signed(told | {"jti": ""}),
    "a jti that is no text": lambda told: signed(told | {"jti": 7}),
    "a long jti": lambda told: signed(told | {"jti": "x" * 256}),
    "issuer and subject differ": lambda told: signed(told | {"iss": "somebody"}),
    "a client of nobody": lambda told: signed(told | {"iss": "cl_0", "sub": "cl_0"}),
    "a subject that is no text": lambda told: signed(told | {"sub": ["cl_0"]}),
    "no JWT": lambda told: "x.y.z",
    "not even parts": lambda told: "nothing",
    "not ASCII": lambda told: "é.é.é",
    "very long": lambda told: signed(told | {"more": "x" * 9_000}),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_or_unfit_assertion_gives_no_token(tenant: Tenant, client_id: str, what: str) -> None:
    assertion = FORGERIES[what](claims(tenant, client_id))
    answer = ask(tenant, assertion)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
    assert set(answer.json()) == {"error", "error_description"}
    assert ask(tenant, signed(claims(tenant, client_id))).status_code == 200, "a good one is taken all the same"


def test_an_unfit_request_says_what_is_wrong(tenant: Tenant, client_id: str) -> None:
    good = signed(claims(tenant, client_id))
    for form, error in (
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "jwt"}, "invalid_client"),
        ({"client_assertion": ""}, "invalid_client"),
        ({"client_id": client_id}, "invalid_request"),
    ):
        assert ask(tenant, good, **form).json()["error"] == error, form
    twice = httpx.post(
        audience(tenant), content=f"grant_type=client_credentials&grant_type=x&client_assertion={good}", trust_env=False,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert twice.json()["error"] == "invalid_request"
    refused(httpx.post(audience(tenant), json={}, trust_env=False), 415, "unsupported-media-type")


def test_a_token_that_has_expired_opens_nothing(tenant: Tenant, client_id: str) -> None:
    token = token_of(tenant, client_id)

    def expire(database: Database) -> None:
        with database.writing() as connection:
            past = text("UPDATE access_token SET expires_at = :now WHERE client_id = :client").bindparams(
                bindparam("now", type_=DateTime(True))
            )
            connection.execute(past, {"now": now_utc(), "client": client_id})

    with_database(tenant, expire)
    refused(validate(tenant, token), 401, "unauthenticated")


def test_a_revoked_client_and_a_scope_taken_away_are_gone_from_its_tokens(tenant: Tenant, client_id: str) -> None:
    first, second = token_of(tenant, client_id), token_of(tenant, client_id)
    with_database(tenant, lambda database: set_scopes(database, tenant.tenant_id, client_id, ["evaluations:read"], "tests"))
    refused(validate(tenant, first), 403, "insufficient-scope")
    with_database(tenant, lambda database: revoke_client(database, tenant.tenant_id, client_id, "tests"))
    refused(validate(tenant, second), 401, "unauthenticated")
    assert ask(tenant, signed(claims(tenant, client_id))).status_code == 401
    actions = [event["action"] for event in tenant.events(object_id=client_id)]
    assert [one for one in actions if one.startswith("client.")] == [
        "client.created",
        "client.keys_registered",
        "client.scopes_changed",
        "client.revoked",
    ]


def test_clients_of_another_tenant_are_not_there_to_change(tenant: Tenant, client_id: str) -> None:
    def attempt(database: Database) -> None:
        with pytest.raises(NotFound):
            revoke_client(database, "another", client_id, "tests")
        assert listed(database, "another") == []

    with_database(tenant, attempt)


def test_the_metadata_names_the_endpoint_and_what_it_takes(tenant: Tenant) -> None:
    found = httpx.get(f"{tenant.server.base_url}/.well-known/oauth-authorization-server", trust_env=False).json()
    assert (found["issuer"], found["token_endpoint"]) == (tenant.server.base_url, audience(tenant))
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "none" not in found["token_endpoint_auth_signing_alg_values_supported"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (b"[]", "not a JWK Set"),
        (b'{"keys": []}', "1 to 10 keys"),
        (json.dumps({"keys": [RSA.as_dict(private=True)]}).encode(), "private"),
        (json.dumps({"keys": [EC.as_dict(private=True)]}).encode(), "private"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]}).encode(), "kind that is not taken"),
        (
            json.dumps(
                {"keys": [{"kty": "RSA", "kid": "w", "n": base64.urlsafe_b64encode(bytes([255]) * 128).decode(), "e": "AQAB"}]}
            ).encode(),
            "too short",
        ),
        (
            json.dumps({"keys": [ECKey.generate_key("secp256k1", {"kid": "k"}, private=True).as_dict(private=False)]}).encode(),
            "kind that is not",
        ),
        (
            json.dumps(
                {"keys": [{"kty": "RSA", "kid": "x", "n": base64.urlsafe_b64encode(bytes([255]) * 256).decode(), "e": "!"}]}
            ).encode(),
            "cannot be read",
        ),
        (json.dumps({"keys": [{**RSA.as_dict(private=False), "kid": None}]}).encode(), "no kid"),
        (json.dumps({"keys": [RSA.as_dict(private=False)] * 2}).encode(), "a kid of its own"),
    ],
)
def test_keys_that_are_not_public_strong_and_named_are_not_registered(keys: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        checked_jwks(keys)
