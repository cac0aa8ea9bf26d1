"""Claims as FHIR R4 Bundles, written from their JSON: what the reader is compared with."""

from __future__ import annotations

from typing import Any

FIELD = "urn:payer-rules:claim-field"
NPI, EIN, NUCC = "http://hl7.org/fhir/sid/us-npi", "urn:oid:2.16.840.1.113883.4.4", "http://nucc.org/provider-taxonomy"
GENDERS = {"F": "female", "M": "male", "U": "unknown"}
RELATIONSHIPS = {"18": "self", "01": "spouse", "19": "child", "53": "common", "G8": "other"}
DIAGNOSIS_TYPES = {"principal": "principal", "secondary": "other", "admitting": "admitting", "reason_for_visit": "patientreasonforvisit", "external_cause": "externalcauseofinjury"}  # fmt: skip
ROLES = {"rendering": "rendering", "referring": "referring", "supervising": "supervisor", "ordering": "ordering", "attending": "attending", "operating": "operating",
         "other_operating": "otheroperating", "assistant_surgeon": "assist", "purchased_service": "purchasedservice"}  # fmt: skip
HEADER_FIELDS = ("assignment_code", "benefits_assigned", "release_code", "special_program_code", "ide_number", "mammography_certification", "delay_reason_code", "clia_number", "property_casualty_claim_number",
                 "claim_frequency_code", "patient_paid_amount", "encounter_id")  # fmt: skip
LINE_FIELDS = ("clia_number", "referring_clia_number", "emergency", "epsdt", "family_planning", "line_control_number", "prior_authorization_number", "referral_number",
               "noncovered_amount", "expected_amount")  # fmt: skip
NUBC = "https://www.nubc.org/CodeSystem/"


def concept(code: str, system: str | None = None) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"code": code} | ({"system": system} if system else {})]}


def money(text: str) -> dict[str, Any]:
    """Money; the amounts of tests are exact as floats of two decimals."""
    return {"value": float(text), "currency": "USD"}


def address(found: dict[str, Any]) -> dict[str, Any]:
    """An Address."""
    told = {"line": [one for one in (found.get("line1"), found.get("line2")) if one], "city": found.get("city"), "state": found.get("state"), "postalCode": found.get("zip"),
            "country": found.get("country")}  # fmt: skip
    return {name: value for name, value in told.items() if value}


class Writer:
    """Writes one claim; every party is a resource of the Bundle."""

    def __init__(self, claim: dict[str, Any]) -> None:
        self.claim = claim
        self.entries: list[dict[str, Any]] = []
        self.information: list[dict[str, Any]] = []
        self.team: list[dict[str, Any]] = []

    def add(self, resource: dict[str, Any]) -> dict[str, str]:
        """Put a resource into the Bundle; the reference to it."""
        kind, number = resource["resourceType"], len(self.entries) + 1
        resource = {"resourceType": kind, "id": f"r{number}"} | {
            name: value for name, value in resource.items() if value not in (None, [], {})
        }
        self.entries.append({"fullUrl": f"https://ehr.example.org/fhir/{kind}/r{number}", "resource": resource})
        return {"reference": f"{kind}/r{number}"}

    def provider(self, found: dict[str, Any], facility: bool = False) -> dict[str, str]:
        """A Practitioner or Organization; with a taxonomy, a practitioner has a role that says it."""
        identifiers = [{"system": NPI, "value": found["npi"]}] if found.get("npi") else []
        identifiers += [{"system": EIN, "value": found["tax_id"]}] if found.get("tax_id") else []
        common = {"identifier": identifiers, "address": [address(found["address"])] if found.get("address") else []}
        name = found.get("last_or_organization_name")
        if found.get("entity_type") == "1" and not facility:
            given = [found["first_name"]] if found.get("first_name") else []
            human = [{"family": name, "given": given}] if name and given else [{"family": name}] if name else []
            practitioner = self.add({"resourceType": "Practitioner", "name": human, **common})
            if not found.get("taxonomy_code"):
                return practitioner
            return self.add(
                {"resourceType": "PractitionerRole", "practitioner": practitioner, "specialty": [concept(found["taxonomy_code"], NUCC)]}
            )
        types = [concept(found["taxonomy_code"], NUCC)] if found.get("taxonomy_code") else []
        return self.add({"resourceType": "Organization", "name": name, "type": types, **common})

    def person(self, found: dict[str, Any]) -> dict[str, str]:
        """A Patient."""
        given = [one for one in (found.get("first_name"), found.get("middle_name")) if one]
        name = {"family": found.get("last_name"), "given": given, "suffix": [found["suffix"]] if found.get("suffix") else []}
        return self.add(
            {
                "resourceType": "Patient",
                "name": [{key: value for key, value in name.items() if value}],
                "birthDate": found.get("birth_date"),
                "deceasedDateTime": found.get("death_date"),
                "gender": GENDERS.get(found.get("sex", "")),
                "address": [address(found["address"])] if found.get("address") else [],
            }
        )

    def coverage(
        self, payer: dict[str, Any], member: dict[str, Any], patient: dict[str, str], relationship: str, order: int
    ) -> dict[str, str]:
        """A Coverage with its payer."""
        organization = self.add(
            {"resourceType": "Organization", "name": payer.get("name"), "identifier": [{"system": "urn:payer", "value": payer["payer_id"]}]}
        )
        filing = payer.get("claim_filing_indicator_code")
        holder = patient if relationship == "18" else self.person(member)
        return self.add(
            {
                "resourceType": "Coverage",
                "status": "active",
                "type": concept(filing, "https://x12.org/codes/claim-filing-indicator-codes") if filing else None,
                "subscriber": holder,
                "subscriberId": member.get("member_id"),
                "beneficiary": patient,
                "relationship": concept(RELATIONSHIPS[relationship]),
                "payor": [organization],
                "class": [{"type": concept("group"), "value": payer["group_number"]}] if payer.get("group_number") else [],
                "order": order,
            }
        )

    def inform(self, category: dict[str, Any], **more: Any) -> int:
        """A supportingInfo entry; its sequence."""
        told = {name: value for name, value in more.items() if value is not None}
        self.information.append({"sequence": len(self.information) + 1, "category": category} | told)
        return len(self.information)

    def field(self, name: str, value: str) -> int:
        """A field FHIR has no place for."""
        return self.inform(concept(name, FIELD), valueString=value)

    def trip(self, holder: dict[str, Any]) -> list[int]:
        """What is told of an ambulance trip; the entries."""
        found = holder.get("ambulance", {})
        told = [self.field(f"ambulance.{name}", found[name]) for name in ("reason", "miles") if found.get(name)]
        return told + [self.field("ambulance.conditions", code) for code in found.get("conditions", ())]

    def member(self, role: str, provider: dict[str, Any]) -> int:
        """A member of the care team; its sequence."""
        self.team.append({"sequence": len(self.team) + 1, "provider": self.provider(provider), "role": concept(ROLES[role])})
        return len(self.team)

    def adjudications(self, found: list[dict[str, Any]], paid: str | None) -> list[dict[str, Any]]:
        """Adjustments by group code, and what was paid."""
        told = [{"category": concept(one["group_code"]), "reason": concept(one["carc"]), "amount": money(one["amount"])} for one in found]
        return told + ([{"category": concept("benefit"), "amount": money(paid)}] if paid is not None else [])

    def other_payers(self, patient: dict[str, str], insurer: dict[str, str]) -> list[dict[str, Any]]:
        """The policies that are not focal."""
        found = []
        for number, one in enumerate(self.claim.get("other_payers", ()), 2):
            order = {"primary": 1, "secondary": 2, "tertiary": 3}.get(one.get("responsibility", ""), number + 2)
            member = one.get("subscriber") or {}
            coverage = self.coverage(one, member, patient, member.get("relationship_code", "18"), order)
            lines = []
            for line in self.claim["service_lines"]:
                for judged in line.get("prior_adjudication", ()):
                    if judged.get("payer_id") == one.get("payer_id"):
                        told = self.adjudications(judged.get("adjustments", []), judged.get("paid_amount"))
                        lines.append({"itemSequence": line["line_number"], "adjudication": told})
            response = self.add(
                {
                    "resourceType": "ClaimResponse", "status": "active", "type": concept("professional"), "use": "claim", "patient": patient, "insurer": insurer, "outcome": "complete",
                    "created": one.get("adjudication_date"), "adjudication": self.adjudications(one.get("adjustments", []), None), "item": lines,
                    "identifier": [{"value": one["payer_claim_control_number"]}] if one.get("payer_claim_control_number") else [],
                    "payment": {"type": concept("complete"), "amount": money(one["paid_amount"])} if one.get("paid_amount") else None,
                }
            )  # fmt: skip
            found.append({"sequence": number, "focal": False, "coverage": coverage, "claimResponse": response})
        return found

    def item(self, line: dict[str, Any]) -> dict[str, Any]:
        """One item."""
        told: dict[str, Any] = {
            "sequence": line["line_number"], "productOrService": concept(line["procedure_code"], "http://www.ama-assn.org/go/cpt") if line.get("procedure_code") else {},
            "modifier": [concept(code) for code in line.get("modifiers", ())], "net": money(line["charge_amount"]),
            "diagnosisSequence": line.get("diagnosis_pointers", []), "revenue": concept(line["revenue_code"]) if line.get("revenue_code") else None,
        }  # fmt: skip
        if line.get("description"):
            told["productOrService"]["text"] = line["description"]
        if line.get("unit_count"):
            told["quantity"] = {"value": float(line["unit_count"])} | ({"unit": "min"} if line.get("unit_basis") == "MJ" else {})
        if line.get("service_from"):
            same = line.get("service_through") in (None, line["service_from"])
            told |= (
                {"servicedDate": line["service_from"]}
                if same
                else {"servicedPeriod": {"start": line["service_from"], "end": line["service_through"]}}
            )
        place = line.get("place_of_service_code") or self.claim.get("place_of_service_code")
        told["locationCodeableConcept"] = concept(place) if place else None
        drug = line.get("drug")
        if drug:
            quantity = {"value": float(drug["quantity"]), "code": drug.get("unit")} if drug.get("quantity") else None
            detail = {"sequence": 1, "productOrService": concept(drug["ndc"], "http://hl7.org/fhir/sid/ndc"), "quantity": quantity}
            told["detail"] = [{name: value for name, value in detail.items() if value}]
        told["careTeamSequence"] = [self.member(role, found) for role, found in line.get("providers", {}).items()]
        told["informationSequence"] = [self.field(name, line[name]) for name in LINE_FIELDS if line.get(name)]
        told["informationSequence"] += self.trip(line)
        return {name: value for name, value in told.items() if value not in (None, [])}

    def institutional(self, own: dict[str, Any]) -> dict[str, Any]:
        """What goes to supportingInfo, and the members of the Claim besides."""
        for name, category in (("type_of_bill", "typeofbill"), ("admission_type", "admtype"), ("admission_source", "pointoforigin"), ("patient_status", "discharge-status"), ("drg", "drg")):  # fmt: skip
            if own.get(name):
                self.inform(concept(category), code=concept(own[name]))
        dates = self.claim.get("dates") or {}
        if any((own.get("admission_at"), own.get("discharge_hour"), dates.get("admission"), dates.get("discharge"))):
            start = own.get("admission_at") or dates.get("admission")
            start = f"{start}:00-05:00" if start and "T" in start else start
            end = dates.get("discharge") or (own.get("statement_through") if own.get("discharge_hour") else None)
            if end and own.get("discharge_hour"):
                end += f"T{own['discharge_hour']}:00:00-05:00"
            self.inform(concept("admissionperiod"), timingPeriod={name: value for name, value in (("start", start), ("end", end)) if value})
        for code in self.claim.get("condition_codes", ()):
            self.inform(concept("info"), code=concept(code, NUBC + "ConditionCodes"))
        for one in own.get("occurrence_codes", ()):
            self.inform(concept("info"), code=concept(one["code"], NUBC + "OccurrenceCodes"), timingDate=one["date"])
        for one in own.get("occurrence_spans", ()):
            self.inform(
                concept("info"),
                code=concept(one["code"], NUBC + "OccurrenceSpanCodes"),
                timingPeriod={"start": one["from"], "end": one["through"]},
            )
        for one in own.get("value_codes", ()):
            self.inform(concept("info"), code=concept(one["code"], NUBC + "ValueCodes"), valueQuantity={"value": float(one["amount"])})
        told: dict[str, Any] = {}
        if own.get("statement_from"):
            told["billablePeriod"] = {"start": own["statement_from"], "end": own["statement_through"]}
        told["procedure"] = [
            {
                "sequence": number,
                "type": [concept("primary" if one.get("principal") else "secondary")],
                "procedureCodeableConcept": concept(one["code"]),
            }
            | ({"date": one["date"]} if one.get("date") else {})
            for number, one in enumerate(own.get("procedures", ()), 1)
        ]
        return told

    def bundle(self) -> dict[str, Any]:
        """The Bundle, the Claim first."""
        claim = self.claim
        patient_is_subscriber = claim.get("patient") is None
        person = claim["subscriber"] if patient_is_subscriber else claim["patient"]
        patient = self.person(person)
        relationship = "18" if patient_is_subscriber else person["relationship_code"]
        order = {"primary": 1, "secondary": 2, "tertiary": 3}.get(claim.get("payer_responsibility", "primary"), 4)
        coverage = self.coverage(claim["payer"], claim["subscriber"], patient, relationship, order)
        insurer = self.entries[-1]["resource"]["payor"][0]
        focal = {"sequence": 1, "focal": True, "coverage": coverage, "preAuthRef": claim.get("prior_authorization_numbers", [])}
        told: dict[str, Any] = {
            "resourceType": "Claim", "id": "claim", "status": "active", "type": concept("oral" if claim["claim_type"] == "dental" else claim["claim_type"]), "use": "claim",
            "patient": patient, "created": "2026-11-23", "insurer": insurer, "provider": self.provider(claim["providers"]["billing"]), "priority": concept("normal"),
            "identifier": [{"value": claim["patient_control_number"]}], "total": money(claim["total_charge_amount"]),
            "insurance": [{name: value for name, value in focal.items() if value != []}, *self.other_payers(patient, insurer)],
            "item": [self.item(line) for line in claim["service_lines"]],
        }  # fmt: skip
        for role, found in claim["providers"].items():
            if role == "service_facility":
                told["facility"] = self.provider(found, facility=True)
            elif role != "billing":
                self.member(role, found)
        for name in HEADER_FIELDS:
            if claim.get(name):
                self.field(name, claim[name])
        self.trip(claim)
        for name in ("line_of_business", "product", "state", "network_status", "msp_type_code"):
            if claim["payer"].get(name):
                self.field(f"payer.{name}", claim["payer"][name])
        if claim.get("referral_number"):
            told["referral"] = {"identifier": {"value": claim["referral_number"]}}
        if claim.get("payer_claim_control_number"):
            told["related"] = [{"relationship": concept("prior"), "reference": {"value": claim["payer_claim_control_number"]}}]
        for one in claim.get("attachments", ()):
            code = concept(one["report_type"])
            if one.get("transmission"):
                code["coding"].append({"system": "urn:payer-rules:attachment-transmission", "code": one["transmission"]})
            sequence = self.inform(concept("attachment"), code=code, valueString=one.get("control_number"))
            if one.get("line_number"):
                next(item for item in told["item"] if item["sequence"] == one["line_number"]).setdefault("informationSequence", []).append(
                    sequence
                )
        for one in claim.get("notes", ()):
            self.inform(concept("info"), valueString=one["text"])
        dates = {
            name: value
            for name, value in (claim.get("dates") or {}).items()
            if name not in ("admission", "discharge") or claim["claim_type"] != "institutional"
        }
        for name, value in dates.items():
            self.inform(concept(f"dates.{name}", FIELD), timingDate=value)
        if claim["claim_type"] == "institutional":
            told |= self.institutional(claim.get("institutional", {}))
        accident = claim.get("accident")
        if accident:
            kind = {"AA": "MVA", "EM": "WPA"}.get(accident["causes"][0], "_ActCoverageType") if accident.get("causes") else None
            told["accident"] = {"date": accident["date"]} | ({"type": concept(kind)} if kind else {})
            if accident.get("state"):
                told["accident"]["locationAddress"] = {"state": accident["state"]}
        told["diagnosis"] = [
            {
                "sequence": one["sequence"],
                "diagnosisCodeableConcept": concept(one["code"], "http://hl7.org/fhir/sid/icd-10-cm"),
                "type": [concept(DIAGNOSIS_TYPES[one["type"]])],
            }
            | ({"onAdmission": concept(one["present_on_admission"])} if one.get("present_on_admission") else {})
            for one in claim.get("diagnoses", ())
        ]
        told |= {"supportingInfo": self.information, "careTeam": self.team}
        resource = {name: value for name, value in told.items() if value != []}
        return {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"fullUrl": "https://ehr.example.org/fhir/Claim/claim", "resource": resource}, *self.entries],
        }


def write_fhir(claim: dict[str, Any]) -> dict[str, Any]:
    """The claim as a Bundle."""
    return Writer(claim).bundle()
