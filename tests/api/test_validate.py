"""Claims over real HTTP, on both databases: what is answered is what is stored."""

import json
import uuid

import httpx
import pytest

from rules_service.primitives.scopes import SCOPES
from rules_service.rules.kinds import KINDS
from rules_service.storage.database import Database
from tests.support.builders import THREE_FINDINGS, claim_bytes, claim_document
from tests.support.server import Server, new_key

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


def post(client: httpx.Client, body: bytes, path: str = "/v1/claims/validate", **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={**JSON, **headers})


def test_a_claim_with_findings_is_answered_stored_and_read_back_byte_for_byte(client: httpx.Client) -> None:
    answer = post(client, claim_bytes(lines=THREE_FINDINGS))
    assert answer.status_code == 200
    evaluation = answer.json()
    assert [finding["code"] for finding in evaluation["findings"]] == ["tf.at_risk", "ncci.ptp", "auth.missing"]
    assert evaluation["outcome"] == "findings"
    assert evaluation["disposition"] == "hold"
    assert evaluation["total_amount_at_risk"] == "300.00"
    assert evaluation["earliest_fix_by"] == "2026-11-30"
    pair = evaluation["findings"][1]
    assert pair["location"] == {
        "json_pointer": "/service_lines/1/procedure_code", "x12": "2400[2]/SV101-2", "fhir": "Claim.item[1].productOrService", "form": "CMS-1500 24D line 2",
    }  # fmt: skip
    assert (pair["amount_at_risk"], pair["fix_by"], pair["days_remaining"], pair["deadline_basis"]) == (
        "150.00",
        "2026-11-30",
        7,
        "timely filing EX1-TF-001",
    )
    assert all(finding["citation"]["title"] for finding in evaluation["findings"])
    assert int(answer.headers["catalog-epoch"]) == evaluation["pins"]["catalog_epoch"]
    assert answer.headers["engine-version"] == evaluation["pins"]["engine_version"]
    stored = client.get(answer.headers["content-location"])
    assert stored.content == answer.content


def test_a_clean_claim_is_released(client: httpx.Client) -> None:
    evaluation = post(client, claim_bytes()).json()
    assert (evaluation["outcome"], evaluation["disposition"], evaluation["findings"]) == ("clean", "release", [])


def test_an_unknown_payer_is_not_covered_and_only_the_baseline_runs(client: httpx.Client) -> None:
    evaluation = post(client, claim_bytes(payer={"payer_id": "NOBODY"}, lines=THREE_FINDINGS)).json()
    assert evaluation["outcome"] == "not_covered"
    assert {one["reason"] for one in evaluation["not_evaluated"]} == {"payer_rules_missing", "code_not_in_partial_edition"}
    assert [pin["rule_set_id"] for pin in evaluation["pins"]["publications"]] == ["national_baseline"]


def test_a_payer_none_of_whose_rules_is_in_force_on_the_day_is_not_covered(client: httpx.Client) -> None:
    old = claim_bytes(lines=[{"service_from": "2014-08-16", "service_through": "2014-08-16"}], received_at="2014-08-20T10:00:00-05:00")
    evaluation = post(client, old).json()
    assert evaluation["outcome"] == "not_covered"
    assert "payer_rules_missing" in {one["reason"] for one in evaluation["not_evaluated"]}


@pytest.mark.parametrize("payer", [{"payer_id": "EX001"}, {"payer_id": "example health"}, {"payer_id": "?", "name": "Example  Health"}])
def test_a_payer_is_found_by_its_ids_and_aliases(client: httpx.Client, payer: dict) -> None:
    evaluation = post(client, claim_bytes(payer=payer, lines=THREE_FINDINGS)).json()
    assert "auth.missing" in [finding["code"] for finding in evaluation["findings"]]


def test_a_dry_run_stores_nothing_and_has_no_id(client: httpx.Client) -> None:
    answer = post(client, claim_bytes(lines=THREE_FINDINGS), "/v1/claims/validate?mode=dry_run")
    assert answer.json()["evaluation_id"] is None
    assert "content-location" not in answer.headers
    live = post(client, claim_bytes(lines=THREE_FINDINGS)).json()
    assert live["findings"] == answer.json()["findings"]


def test_the_same_claim_again_has_the_same_lineage_and_finding_keys_and_another_id(client: httpx.Client) -> None:
    first, second = (post(client, claim_bytes(lines=THREE_FINDINGS)).json() for _ in range(2))
    assert first["lineage_id"] == second["lineage_id"]
    assert first["evaluation_id"] != second["evaluation_id"]
    assert [one["finding_key"] for one in first["findings"]] == [one["finding_key"] for one in second["findings"]]
    assert first["pins"]["input_sha256"] == second["pins"]["input_sha256"]


def test_one_idempotency_key_gives_one_evaluation(client: httpx.Client) -> None:
    key = uuid.uuid4().hex
    first = post(client, claim_bytes(), **{"Idempotency-Key": key})
    again = post(client, claim_bytes(), **{"Idempotency-Key": key})
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    other = post(client, claim_bytes(place_of_service_code="12"), **{"Idempotency-Key": key})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


def test_an_idempotent_claim_without_receipt_finds_itself_again(client: httpx.Client) -> None:
    key, body = uuid.uuid4().hex, claim_bytes(received_at=None)
    assert post(client, body, **{"Idempotency-Key": key}).content == post(client, body, **{"Idempotency-Key": key}).content


def test_the_explanation_shows_each_condition_and_no_phi(client: httpx.Client) -> None:
    evaluation = post(client, claim_bytes(lines=THREE_FINDINGS)).json()
    told = client.get(f"/v1/evaluations/{evaluation['evaluation_id']}/explanation")
    rules = {rule["rule_id"]: rule for rule in told.json()["rules"]}
    fired = [branch for branch in rules["EX1-PA-001"]["branches"] if branch["result"] == "true"]
    assert [branch["code"] for branch in fired] == ["auth.missing"]
    assert any(part["condition"].startswith("authorization.number_present is false") for part in fired[0]["parts"])
    for word in ("JANE", "SAMPLE", "W123456789", "1980-05-17"):
        assert word not in told.text


def test_a_batch_gives_one_result_a_claim_and_a_bad_claim_fails_alone(client: httpx.Client) -> None:
    claims = [claim_document(), {**claim_document(), "surprise": 1}, claim_document(lines=THREE_FINDINGS)]
    results = post(client, json.dumps({"claims": claims}).encode(), "/v1/claims/validate-batch").json()["results"]
    assert [(one["index"], one["status"]) for one in results] == [(0, 200), (1, 422), (2, 200)]
    assert results[1]["problem"]["errors"][0]["code"] == "unknown_field"
    assert client.get(f"/v1/evaluations/{results[2]['evaluation']['evaluation_id']}").json() == results[2]["evaluation"]
    too_many = post(client, json.dumps({"claims": [claim_document()] * 101}).encode(), "/v1/claims/validate-batch")
    assert too_many.status_code == 422


def test_ndjson_is_answered_line_by_line(client: httpx.Client) -> None:
    body = b"\n".join([claim_bytes(), b"{", b"", claim_bytes(lines=THREE_FINDINGS)] * 50)
    answer = client.post("/v1/claims/validate-batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["status"] for one in results] == [200, 400, 200] * 50
    assert [one["index"] for one in results] == list(range(150))


def test_a_tenant_sees_nothing_of_another(server: Server, client: httpx.Client) -> None:
    evaluation = post(client, claim_bytes()).json()
    database = Database(server.url)
    stranger = server.client(new_key(database, "other", sorted(SCOPES)))
    database.close()
    assert stranger.get(f"/v1/evaluations/{evaluation['evaluation_id']}").status_code == 404
    assert stranger.get("/v1/payers").json() == {"data": []}
    assert post(stranger, claim_bytes()).json()["outcome"] == "not_covered"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/claims/validate", "claims:validate"),
        ("POST", "/v1/claims/validate-batch", "claims:validate"),
        ("POST", "/v1/x12/837/validate", "claims:validate"),
        ("GET", "/v1/capabilities", "claims:validate"),
        ("GET", "/v1/finding-codes", "claims:validate"),
        ("GET", "/v1/evaluations/ev_1", "evaluations:read"),
        ("GET", "/v1/evaluations/ev_1/explanation", "evaluations:read"),
        ("GET", "/v1/payers", "rules:read"),
        ("GET", "/v1/payers/EXAMPLE01", "rules:read"),
        ("GET", "/v1/rule-sets", "rules:read"),
        ("GET", "/v1/rule-sets/medicare_part_b", "rules:read"),
        ("GET", "/v1/rule-sets/medicare_part_b/publications", "rules:read"),
        ("GET", "/v1/rule-sets/medicare_part_b/publications/1", "rules:read"),
        ("GET", "/v1/rule-kinds", "rules:read"),
        ("GET", "/v1/fact-catalogue", "rules:read"),
        ("GET", "/v1/reference-tables", "reference:read"),
        ("GET", "/v1/reference-tables/icd10cm/editions", "reference:read"),
        ("POST", "/v1/reference-tables/icd10cm/editions", "reference:write"),
        ("GET", "/metrics", "metrics:read"),
    ],
)
def test_an_operation_takes_its_scope_and_no_other(server: Server, method: str, path: str, scope: str) -> None:
    database = Database(server.url)
    with_scope, without = new_key(database, "default", [scope]), new_key(database, "default", sorted(set(SCOPES) - {scope}))
    database.close()
    assert httpx.request(method, server.base_url + path, trust_env=False).status_code == 401
    assert server.client("rsk_wrong").request(method, path).status_code == 401
    refused = server.client(without).request(method, path)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/insufficient-scope")
    assert server.client(with_scope).request(method, path).status_code not in (401, 403, 500)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/openapi.json"])
def test_health_and_contract_need_no_credential(server: Server, path: str) -> None:
    assert httpx.get(server.base_url + path, trust_env=False).status_code == 200


def test_a_request_id_comes_back_and_an_odd_one_is_replaced(client: httpx.Client) -> None:
    assert client.get("/livez", headers={"Request-Id": "abc-1"}).headers["request-id"] == "abc-1"
    assert client.get("/livez", headers={"Request-Id": "a b;c"}).headers["request-id"] != "a b;c"


def test_the_catalog_can_be_read(client: httpx.Client) -> None:
    codes = {one["code"] for one in client.get("/v1/finding-codes").json()["data"]}
    assert {"ncci.ptp", "auth.missing", "tf.expired", "dx.pointer", "fmt.npi_checksum"} <= codes
    kinds = {one["name"]: one for one in client.get("/v1/rule-kinds").json()["data"]}
    assert set(kinds) == set(KINDS)
    assert "honours_gold_cards" in json.dumps(kinds["authorization_requirement"]["parameters"])
    facts = {one["name"]: one for one in client.get("/v1/fact-catalogue").json()["data"]}
    assert facts["claim.subscriber.last_name"]["phi"] is True
    assert "contains_any" in facts["line.modifiers"]["operators"]
    detail = client.get("/v1/rule-sets/medicare_part_b/publications/1").json()
    windows = [one for one in detail["windows"] if one["rule_id"] == "MCR-NCCI-001"]
    assert [(one["version"], one["effective_from"], one["effective_through"]) for one in windows] == [
        (1, "1996-01-01", "2019-06-30"),
        (2, "2019-07-01", None),
    ]
    for missing in (
        "/v1/payers/X",
        "/v1/rule-sets/X",
        "/v1/rule-sets/X/publications",
        "/v1/rule-sets/medicare_part_b/publications/99",
        "/v1/reference-tables/X/editions",
        "/v1/evaluations/X",
        "/nowhere",
    ):
        assert (client.get(missing).status_code, client.get(missing).headers["content-type"]) == (404, "application/problem+json")
