"""EHRs that sign under their own name, with keys they publish at an address of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from rules_service.primitives.errors import InputError, StateConflict
from rules_service.services.acting import now_utc
from rules_service.services.manage_clients import add_client, register_issuer, register_keys, register_keys_address
from rules_service.services.outbound import Outbound
from rules_service.services.public_keys import Fetched, PublicKeys
from rules_service.storage import catalog, clients
from rules_service.storage.clients import ClientRecord
from rules_service.storage.database import Database
from tests.api.test_cds_hooks import call, order
from tests.api.test_oauth import audience, claims, signed
from tests.support.governance import Tenant, new_tenant
from tests.support.receiver import Receiver, receiving
from tests.support.server import Server, prepare

LOOPBACK = ("127.0.0.0/8",)
KEY = ECKey.generate_key("P-384", {"kid": "ehr-1"}, private=True)
NEXT = RSAKey.generate_key(2048, {"kid": "ehr-2"}, private=True)
HOOK = "/cds-services/order-sign"


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


@pytest.fixture
def ehr() -> Iterator[Receiver]:
    """Where an EHR publishes its keys."""
    with receiving() as receiver:
        receiver.documents = {"/jwks": jwks(KEY)}
        yield receiver


@pytest.fixture(scope="module")
def url(new_url: Callable[[str], str]) -> str:
    found = new_url("sqlite")
    prepare(found)
    return found


@pytest.fixture
def issuer() -> str:
    return f"https://{uuid.uuid4().hex}.example/cds"


def in_database(server: Server, act: Callable[[Database], Any]) -> Any:
    database = Database(server.url)
    try:
        return act(database)
    finally:
        database.close()


def registered(server: Server, issuer: str, url: str, organization: str = "") -> str:
    """A client with this issuer and the address of its keys."""

    def register(database: Database) -> str:
        client_id, _ = add_client(database, "default", "ehr", ["claims:validate"], "tests")
        register_issuer(database, "default", client_id, issuer, organization, "tests")
        register_keys_address(database, PublicKeys(Outbound(LOOPBACK)), "default", client_id, url, "tests")
        return client_id

    return str(in_database(server, register))


def send(server: Server, issuer: str, header: dict[str, str] | None = None, key: Any = KEY, **told: Any) -> httpx.Response:
    now = int(time.time())
    body = {"iss": issuer, "aud": [server.base_url + HOOK], "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())} | told
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    token = jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "JWT"} | (header or {}), body, key, algorithms=[algorithm])
    return server.client(token).post(HOOK, json=call(order()))


def test_an_ehr_calls_under_its_own_name_with_the_keys_it_publishes(server: Server, issuer: str, ehr: Receiver) -> None:
    url = ehr.url(path="/jwks")
    registered(server, issuer, url)
    answers = [send(server, issuer), send(server, issuer, {"jku": url})]
    assert [(answer.status_code, len(answer.json()["cards"])) for answer in answers] == [(200, 1), (200, 1)]


def test_another_address_of_keys_is_refused_and_never_asked(server: Server, issuer: str, ehr: Receiver) -> None:
    registered(server, issuer, ehr.url(path="/jwks"))
    ehr.documents["/mine"] = jwks(NEXT)
    answer = send(server, issuer, {"jku": ehr.url(path="/mine")}, NEXT)
    assert (answer.status_code, "jku" in answer.json()["detail"]) == (401, True)
    assert "/mine" not in ehr.asked


def test_organizations_of_one_issuer_are_clients_of_their_own(server: Server, issuer: str, ehr: Receiver) -> None:
    registered(server, issuer, ehr.url(path="/jwks"), "clinic-1")
    assert send(server, issuer, tenant="clinic-1").status_code == 200
    for told in ({"tenant": "clinic-2"}, {}, {"tenant": 1}):
        assert send(server, issuer, **told).status_code == 401, told


def test_nobody_signs_under_a_name_that_is_not_registered(server: Server, issuer: str, ehr: Receiver) -> None:
    client_id = registered(server, issuer, ehr.url(path="/jwks"))
    assert send(server, client_id).status_code == 200, "the client's id is its name too"
    elsewhere = send(server, client_id, aud=server.base_url)
    assert (elsewhere.status_code, elsewhere.json()["detail"]) == (401, "The assertion is not accepted: invalid_claim aud.")
    for other in (issuer + "/", issuer.upper(), "https://nobody.example"):
        assert send(server, other).status_code == 401, other


def test_keys_that_cannot_be_fetched_let_nobody_in_and_are_told(server: Server, issuer: str) -> None:
    with receiving() as gone:
        url = gone.url(path="/jwks")
    registered(server, issuer, url)
    answer = send(server, issuer)
    assert (answer.status_code, "could not be fetched" in answer.json()["detail"]) == (401, True)


def test_a_backend_gets_tokens_with_the_keys_it_publishes(server: Server, ehr: Receiver) -> None:
    tenant: Tenant = new_tenant(server)
    url = ehr.url(path="/jwks")

    def register(database: Database) -> str:
        made, _ = add_client(database, tenant.tenant_id, "backend", ["claims:validate"], "tests")
        register_keys_address(database, PublicKeys(Outbound(LOOPBACK)), tenant.tenant_id, made, url, "tests")
        return made

    client_id = in_database(server, register)
    for header, status in (({}, 200), ({"jku": url}, 200), ({"jku": url + "2"}, 401)):
        form = {
            "grant_type": "client_credentials", "client_assertion": signed(claims(tenant, client_id), KEY, "ES384", **header),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }  # fmt: skip
        assert httpx.post(audience(tenant), data=form, trust_env=False, timeout=30).status_code == status, header


def test_keys_come_by_a_file_or_by_an_address_and_the_later_word_counts(server: Server, issuer: str, ehr: Receiver) -> None:
    client_id = registered(server, issuer, ehr.url(path="/jwks"))
    in_database(server, lambda database: register_keys(database, "default", client_id, jwks(NEXT), "tests"))
    assert [send(server, issuer, key=key).status_code for key in (NEXT, KEY)] == [200, 401]
    assert send(server, issuer, {"jku": ehr.url(path="/jwks")}, NEXT).status_code == 401, "no address is registered any more"


def test_a_name_is_of_one_client_and_is_a_uri(server: Server, issuer: str, ehr: Receiver) -> None:
    registered(server, issuer, ehr.url(path="/jwks"))
    with pytest.raises(StateConflict):
        registered(server, issuer, ehr.url(path="/jwks"))
    registered(server, issuer, ehr.url(path="/jwks"), "another organization")
    for unfit in ("", "cl_1", "https://ehr .example", "https://\u00e9.example", "https://" + "x" * 500):
        with pytest.raises(InputError):
            registered(server, unfit, ehr.url(path="/jwks"))
    for unfit in ("ftp://ehr.example/jwks", "https://user:secret@ehr.example/jwks", "jwks"):
        with pytest.raises(InputError):
            registered(server, issuer + uuid.uuid4().hex, unfit)


def record(ehr: Receiver) -> ClientRecord:
    return ClientRecord("default", "cl_1", "ehr", (), None, ehr.url(path="/jwks"), None, None, now_utc(), None)


def has(keys: PublicKeys, ehr: Receiver, *kids: str) -> list[bool]:
    return [keys.named(record(ehr), kid) is not None for kid in kids]


def test_fetched_keys_are_kept_and_a_name_nobody_knows_is_asked_for_once_in_a_while(ehr: Receiver) -> None:
    keys = PublicKeys(Outbound(LOOPBACK))
    assert has(keys, ehr, "ehr-1", "ehr-1", "nobody", "somebody") == [True, True, False, False]
    assert len(ehr.asked) == 1


def test_a_new_key_is_found_and_one_that_was_taken_out_is_refused_once_it_is_not_fresh(ehr: Receiver) -> None:
    kept, asking = PublicKeys(Outbound(LOOPBACK), pause=0), PublicKeys(Outbound(LOOPBACK), fresh=0, pause=0)
    assert has(kept, ehr, "ehr-1", "ehr-2") == has(asking, ehr, "ehr-1", "ehr-2") == [True, False]
    ehr.documents = {"/jwks": jwks(NEXT)}
    assert has(kept, ehr, "ehr-1", "ehr-2", "ehr-1") == [True, True, False]
    assert has(asking, ehr, "ehr-1", "ehr-2") == [False, True]


def test_an_address_that_does_not_answer_leaves_the_keys_for_a_while_only(ehr: Receiver) -> None:
    patient, strict = PublicKeys(Outbound(LOOPBACK), fresh=0, pause=0), PublicKeys(Outbound(LOOPBACK), fresh=0, stale=0, pause=0)
    assert [has(keys, ehr, "ehr-1") for keys in (patient, strict)] == [[True], [True]]
    ehr.statuses = [500] * 2
    assert [has(keys, ehr, "ehr-1") for keys in (patient, strict)] == [[True], [False]]


def test_keys_of_a_set_that_are_not_for_us_are_passed_over(ehr: Receiver) -> None:
    others = [
        OKPKey.generate_key("Ed25519", {"kid": "okp"}, private=True).as_dict(private=False),
        NEXT.as_dict(private=False) | {"kid": "enc", "use": "enc"},
        NEXT.as_dict(private=True) | {"kid": "private"},
        {name: value for name, value in NEXT.as_dict(private=False).items() if name != "kid"},
    ]
    ehr.documents = {"/jwks": json.dumps({"keys": [*others, KEY.as_dict(private=False)]}).encode()}
    assert has(PublicKeys(Outbound(LOOPBACK)), ehr, "ehr-1", "okp", "enc", "private") == [True, False, False, False]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"", "no_jwk_set"),
        (b"[]", "no_jwk_set"),
        (b'{"keys": 1}', "no_jwk_set"),
        (b"[" * 50_000, "no_jwk_set"),
        (b" " * 70_000, "too_large"),
    ],
)
def test_what_is_no_set_of_keys_is_told(ehr: Receiver, body: bytes, failure: str) -> None:
    ehr.documents = {"/jwks": body}
    assert PublicKeys(Outbound(LOOPBACK)).fetch(ehr.url(path="/jwks")) == Fetched((), failure)
    assert PublicKeys(Outbound()).fetch(ehr.url(path="/jwks")) == Fetched((), "address_refused")


def test_the_commands_register_what_an_ehr_signs_with(url: str, ehr: Receiver, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        environment = os.environ | {"DATABASE_URL": url, "DATA_DIR": str(tmp_path), "OUTBOUND_NETWORKS": '["127.0.0.1/32"]'}
        command = [sys.executable, "-m", "rules_service.cli.main", "clients", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    client_id = run("create", "ehr", "--scope", "claims:validate").split()[1]
    assert run("register-keys", client_id, "--url", ehr.url(path="/jwks")) == "address registered; 1 usable keys there now\n"
    assert run("register-keys", client_id, "--url", ehr.url(path="/none")) == "address registered; no keys there now: status\n"
    assert run("register-issuer", client_id, "https://ehr.example/cds", "--tenant", "clinic-1") == "issuer registered\n"
    assert "(keys registered, signs as https://ehr.example/cds)" in run("list")


def test_a_faulty_kid_is_told_and_an_address_nothing_is_fetched_from_is_not_registered(database: Database) -> None:
    with database.writing() as connection:
        catalog.ensure_tenant(connection, "t", "t", datetime.now(UTC))
    client_id, _ = add_client(database, "t", "ehr", ["claims:validate"], "tests")
    for kid in (["a"], {"a": 1}, 7, None, ""):
        with pytest.raises(InputError) as refused:
            register_keys(database, "t", client_id, json.dumps({"keys": [KEY.as_dict(private=False) | {"kid": kid}]}).encode(), "tests")
        assert refused.value.issues[0].where == "/keys/0"
    for url, code in (("https://10.0.0.1/jwks", "address_refused"), ("https://nowhere.invalid/jwks", "host_unresolvable")):
        with pytest.raises(InputError) as refused:
            register_keys_address(database, PublicKeys(Outbound()), "t", client_id, url, "tests")
        assert refused.value.issues[0].code == code
    with database.reading() as connection:
        record = clients.find_client(connection, client_id)
    assert (record.jwks, record.jwks_url) == (None, None)
