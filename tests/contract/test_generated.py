"""What is generated and checked in is what the code gives now; the OpenAPI document keeps its promises."""

import json

import jsonschema
import pytest

from rules_service.primitives.scopes import SCOPES
from tests.support.builders import claim_document
from tests.support.generate import ROOT, generated

DOCUMENT = json.loads((ROOT / "openapi/openapi.json").read_text())
OPERATIONS = [(method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()]


@pytest.mark.parametrize(
    ("path", "text"), sorted(generated().items()), ids=lambda value: str(value) if not isinstance(value, str) or len(value) < 80 else ""
)
def test_a_generated_file_is_current(path, text: str) -> None:  # type: ignore[no-untyped-def]
    assert (ROOT / path).read_text() == text, "run `make openapi`"


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{method} {path}" for method, path, _ in OPERATIONS])
def test_every_operation_declares_its_scope_its_id_and_its_problems(method: str, path: str, operation: dict) -> None:
    scope = operation["x-scope"]
    assert scope in {*SCOPES, "none"}
    assert operation["security"] == ([] if scope == "none" else [{"oauth2": [scope]}, {"apiKey": []}])
    assert operation["operationId"]
    assert "500" in operation["responses"]
    for status, answer in operation["responses"].items():
        if status.startswith(("4", "5")) and "$ref" not in answer:
            # Clients of the token endpoint expect the errors of RFC 6749, those of FHIR OperationOutcomes.
            is_oauth = path == "/v1/oauth/token" and status in ("400", "401")
            assert is_oauth or path.startswith("/fhir/")
            assert list(answer["content"]) == ["application/json" if is_oauth else "application/fhir+json"]
        elif "$ref" in answer:
            assert answer == {"$ref": f"#/components/responses/Problem{status}"}
            assert list(DOCUMENT["components"]["responses"][f"Problem{status}"]["content"]) == ["application/problem+json"]


def test_the_document_is_whole() -> None:
    text = json.dumps(DOCUMENT)
    names = set(DOCUMENT["components"]["schemas"])
    assert {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]} <= names


def test_the_smallest_claim_fits_the_schema() -> None:
    schema = json.loads((ROOT / "openapi/schemas/claim.schema.json").read_text())
    jsonschema.validate(claim_document(), schema)
    jsonschema.validate(json.loads((ROOT / "openapi/examples/claim-with-findings.json").read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(claim_document(surprise=1), schema)
