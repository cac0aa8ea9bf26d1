"""Claims every format can carry: what an 837 or a FHIR Bundle has no place for is left out, and what it always says is said."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.packs.cases import case_claim
from rules_service.packs.read import find_packs, read_pack
from tests.acceptance.test_rows import ROWS, row_claim
from tests.support.server import PACKS

ELSEWHERE = ("context", "received_at", "submission", "submission_number")
"""What comes beside the claim: context, and the submission's own history."""


def carried(claim: Claim) -> dict[str, Any]:
    """The claim's JSON as every format has it."""
    document: dict[str, Any] = json.loads(encode_json(claim))
    for name in ELSEWHERE:
        document.pop(name, None)
    for name in ("line_of_business", "plan_id", "product", "state", "network_status"):
        document["payer"].pop(name, None)
    for found in providers(document):
        found.setdefault("entity_type", "2")
    document["providers"].pop("ordering", None)  # an order stands on the line
    for line in document["service_lines"]:
        line.pop("expected_amount", None)
        line.get("providers", {}).pop("service_facility", None)  # FHIR has the place of an item, and no identifier of it
        if not line.get("providers", True):
            del line["providers"]
        if document["claim_type"] == "professional":
            line.pop("revenue_code", None)
        if "unit_count" not in line:
            line.pop("unit_basis", None)
        if "quantity" not in line.get("drug", {"quantity": ""}):
            line["drug"].pop("unit", None)
    if document.get("patient"):
        document["patient"].setdefault("relationship_code", "19")
        document["subscriber"].pop("relationship_code", None)
    elif "relationship_code" in document["subscriber"]:
        document["subscriber"]["relationship_code"] = "18"  # a dependent who is not given is no FHIR claim
    for one in document.get("other_payers", ()):
        one.setdefault("payer_id", "OTHER")
        subscriber = document["subscriber"]
        if one.get("subscriber", {}).get("relationship_code", "18") == "18":
            one["subscriber"] = {"relationship_code": "18"} | {
                name: subscriber[name] for name in ("member_id", "first_name", "last_name") if name in subscriber
            }
        for line in document["service_lines"]:
            for judged in line.get("prior_adjudication", ()):
                if judged.get("payer_id") == one.get("payer_id") and one.get("adjudication_date"):
                    judged["date"] = one["adjudication_date"]
    own = document.get("institutional")
    if own and own.get("type_of_bill"):
        own["type_of_bill"] = own["type_of_bill"].ljust(4, "1")[:4]  # an 837 has facility, class and frequency
        document["claim_frequency_code"] = own["type_of_bill"][-1]
    if own and own.get("admission_at"):
        document["dates"] = {"admission": own["admission_at"][:10]}
    return document


def providers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every provider of a claim and its lines."""
    return [*document["providers"].values(), *(found for line in document["service_lines"] for found in line.get("providers", {}).values())]


@functools.cache
def claims(claim_type: str) -> tuple[dict[str, Any], ...]:
    """The distinct claims of a type among the acceptance rows and the cases of every shipped pack."""
    found: dict[str, dict[str, Any]] = {}
    for claim in (*map(row_claim, ROWS), *_of_cases()):
        if claim.claim_type == claim_type:
            document = carried(claim)
            found.setdefault(json.dumps(document, sort_keys=True), document)
    return tuple(found.values())


def _of_cases() -> Iterator[Claim]:
    for folder in find_packs(PACKS):
        pack = read_pack(folder)
        for rule in pack.rules:
            for case in rule.cases.cases if rule.cases is not None else ():
                yield case_claim(pack.root, rule.cases.base, case)
