"""Claims as 837P or 837I files, written from their JSON: what the readers are compared with."""

from __future__ import annotations

from typing import Any

ISA = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~"
VERSIONS = {"professional": "005010X222A1", "institutional": "005010X223A2", "dental": "005010X224A2"}
RESPONSIBILITY = {"primary": "P", "secondary": "S", "tertiary": "T", "other": "U"}
CLAIM_DATES = {"onset": "431", "initial_treatment": "454", "last_seen": "304", "last_xray": "455", "last_menstrual_period": "484", "assumed_care": "090",
               "relinquished_care": "091"}  # fmt: skip
ROLES = {"rendering": "82", "referring": "DN", "supervising": "DQ", "service_facility": "77", "assistant_surgeon": "DD", "attending": "71", "operating": "72",
         "other_operating": "ZZ", "ordering": "DK", "purchased_service": "QB"}  # fmt: skip
DIAGNOSES = {"principal": "ABK", "secondary": "ABF", "admitting": "ABJ", "reason_for_visit": "APR", "external_cause": "ABN"}


def segment(name: str, *elements: object) -> str:
    """One segment, without the empty elements at its end."""
    texts = ["" if one is None else str(one) for one in elements]
    while texts and not texts[-1]:
        texts.pop()
    return "*".join([name, *texts]) + "~"


def composite(*parts: object) -> str:
    """One composite element."""
    texts = ["" if one is None else str(one) for one in parts]
    while texts and not texts[-1]:
        texts.pop()
    return ":".join(texts)


def day(text: str) -> str:
    """An ISO date as CCYYMMDD."""
    return text.replace("-", "")


def days(qualifier: str, first: str, last: str | None) -> str:
    """DTP of a day or a range."""
    if last in (None, first):
        return segment("DTP", qualifier, "D8", day(first))
    return segment("DTP", qualifier, "RD8", f"{day(first)}-{day(last or first)}")


def address(found: dict[str, Any] | None) -> str:
    """N3 and N4."""
    if not found:
        return ""
    lines = segment("N3", found.get("line1"), found.get("line2")) if found.get("line1") else ""
    return lines + segment("N4", found.get("city"), found.get("state"), found.get("zip"), found.get("country"))


def person(code: str, found: dict[str, Any]) -> str:
    """NM1, N3, N4, DMG of a subscriber or patient."""
    name = segment(
        "NM1", code, "1", found.get("last_name"), found.get("first_name"), found.get("middle_name"), None, found.get("suffix"),
        "MI" if found.get("member_id") else None, found.get("member_id"),
    )  # fmt: skip
    told = found.get("birth_date") or found.get("sex")
    return name + address(found.get("address")) + (segment("DMG", "D8", day(found.get("birth_date", "")), found.get("sex")) if told else "")


def provider(code: str, found: dict[str, Any], taxonomy: str | None = "PE") -> str:
    """NM1, PRV, N3, N4, REF of a provider."""
    npi = found.get("npi")
    name = segment(
        "NM1", code, found.get("entity_type"), found.get("last_or_organization_name"), found.get("first_name"), None, None, None, "XX" if npi else None, npi
    )  # fmt: skip
    if taxonomy and found.get("taxonomy_code"):
        name += segment("PRV", taxonomy, "PXC", found["taxonomy_code"])
    return name + address(found.get("address")) + (segment("REF", "EI", found["tax_id"]) if found.get("tax_id") and code == "85" else "")


def health_information(claim: dict[str, Any]) -> str:
    """HI: diagnoses, codes and procedures."""
    found = [
        segment("HI", composite(DIAGNOSES[one["type"]], one["code"].replace(".", ""), *[None] * 6, one.get("present_on_admission")))
        for one in claim.get("diagnoses", ())
    ]
    found += [
        segment("HI", composite("BP" if not index else "BO", code)) for index, code in enumerate(claim.get("anesthesia_procedures", ()))
    ]
    own = claim.get("institutional", {})
    for one in own.get("procedures", ()):
        found.append(segment("HI", composite("BBR" if one.get("principal") else "BBQ", one["code"], "D8", day(one.get("date", "")))))
    for one in own.get("occurrence_spans", ()):
        found.append(segment("HI", composite("BI", one["code"], "RD8", f"{day(one['from'])}-{day(one['through'])}")))
    for one in own.get("occurrence_codes", ()):
        found.append(segment("HI", composite("BH", one["code"], "D8", day(one.get("date", "")))))
    for one in own.get("value_codes", ()):
        found.append(segment("HI", composite("BE", one["code"], None, None, one.get("amount"))))
    found += [segment("HI", composite("BG", code)) for code in claim.get("condition_codes", ())]
    if own.get("drg"):
        found.append(segment("HI", composite("DR", own["drg"])))
    return "".join(found)


def adjustments(found: list[dict[str, Any]]) -> str:
    """CAS, one a triplet."""
    return "".join(segment("CAS", one["group_code"], one["carc"], one["amount"], one.get("quantity")) for one in found)


def other_payer(found: dict[str, Any]) -> str:
    """Loop 2320."""
    subscriber = found.get("subscriber") or {}
    text = segment(
        "SBR", RESPONSIBILITY[found.get("responsibility", "other")], subscriber.get("relationship_code"), None, None, found.get("msp_type_code"), None, None, None,
        found.get("claim_filing_indicator_code"),
    )  # fmt: skip
    text += adjustments(found.get("adjustments", []))
    if found.get("paid_amount"):
        text += segment("AMT", "D", found["paid_amount"])
    if found.get("remarks"):
        text += segment("MOA", None, None, *found["remarks"])
    if found.get("subscriber"):
        text += person("IL", subscriber)
    text += segment("NM1", "PR", "2", None, None, None, None, None, "PI", found.get("payer_id"))
    if found.get("adjudication_date"):
        text += days("573", found["adjudication_date"], None)
    return text + (segment("REF", "F8", found["payer_claim_control_number"]) if found.get("payer_claim_control_number") else "")


def trip(holder: dict[str, Any]) -> str:
    """CR1 and CRC of an ambulance trip."""
    found = holder.get("ambulance")
    if not found:
        return ""
    text = segment("CR1", None, None, None, found.get("reason"), "DH", found.get("miles"))
    return text + (segment("CRC", "07", "Y", *found["conditions"]) if found.get("conditions") else "")


def service(claim: dict[str, Any], line: dict[str, Any]) -> str:
    """SV1 or SV2."""
    procedure = composite("HC", line.get("procedure_code"), *(line.get("modifiers", []) + [None] * 4)[:4], line.get("description"))
    if claim["claim_type"] == "institutional":
        return segment(
            "SV2", line.get("revenue_code"), procedure if line.get("procedure_code") else None, line["charge_amount"], line.get("unit_basis"), line.get("unit_count"), None,
            line.get("noncovered_amount"),
        )  # fmt: skip
    return segment(
        "SV1", procedure, line["charge_amount"], line.get("unit_basis"), line.get("unit_count"), line.get("place_of_service_code"), None,
        composite(*line.get("diagnosis_pointers", [])), None, line.get("emergency"), None, line.get("epsdt"), line.get("family_planning"),
    )  # fmt: skip


def service_line(claim: dict[str, Any], line: dict[str, Any]) -> str:
    """Loop 2400."""
    text = segment("LX", line["line_number"]) + service(claim, line)
    if line.get("dme"):
        text += segment("SV5", None, None, line["dme"].get("months"), line["dme"].get("rental_price"), line["dme"].get("purchase_price"))
    text += trip(line)
    if line.get("service_from"):
        text += days("472", line["service_from"], line.get("service_through"))
    for name, qualifier in (("prior_authorization_number", "G1"), ("referral_number", "9F"), ("line_control_number", "6R"), ("clia_number", "X4"), ("referring_clia_number", "F4")):  # fmt: skip
        if line.get(name):
            text += segment("REF", qualifier, line[name])
    drug = line.get("drug")
    if drug:
        text += segment("LIN", None, "N4", drug.get("ndc")) + segment("CTP", None, None, None, drug.get("quantity"), drug.get("unit"))
        text += segment("REF", "XZ", drug["prescription_number"]) if drug.get("prescription_number") else ""
    for role, found in line.get("providers", {}).items():
        text += provider(ROLES[role], found)
    for one in line.get("prior_adjudication", ()):
        text += segment(
            "SVD", one.get("payer_id"), one.get("paid_amount"), composite("HC", one.get("procedure_code"), *one.get("modifiers", ())) if one.get("procedure_code") else None, None,
            one.get("paid_units"), one.get("bundled_line"),
        )  # fmt: skip
        text += adjustments(one.get("adjustments", [])) + (days("573", one["date"], None) if one.get("date") else "")
    return text


def claim_loop(claim: dict[str, Any]) -> str:
    """Loop 2300 and what is under it."""
    own = claim.get("institutional", {})
    if claim["claim_type"] == "institutional":
        bill = own.get("type_of_bill", "")
        place = composite(bill.removeprefix("0")[:2], "A", claim["claim_frequency_code"])
    else:
        place = composite(claim.get("place_of_service_code"), "B", claim["claim_frequency_code"])
    accident = claim.get("accident") or {}
    causes = (accident.get("causes", []) + [None] * 3)[:3]
    text = segment(
        "CLM", claim["patient_control_number"], claim["total_charge_amount"], None, None, place, None, claim.get("assignment_code"), claim.get("benefits_assigned"),
        claim.get("release_code"), None, composite(*causes, accident.get("state")), claim.get("special_program_code"), *[None] * 7, claim.get("delay_reason_code"),
    )  # fmt: skip
    dates = claim.get("dates") or {}
    if own.get("discharge_hour"):
        text += segment("DTP", "096", "TM", own["discharge_hour"].ljust(4, "0"))
    if own.get("statement_from"):
        text += days("434", own["statement_from"], own.get("statement_through"))
    if own.get("admission_at"):
        clock = own["admission_at"].replace("-", "").replace("T", "").replace(":", "")
        text += segment("DTP", "435", "DT" if len(clock) > 8 else "D8", clock)
    elif dates.get("admission"):
        text += days("435", dates["admission"], None)
    if dates.get("discharge") and claim["claim_type"] == "professional":
        text += days("096", dates["discharge"], None)
    text += "".join(days(qualifier, dates[name], None) for name, qualifier in CLAIM_DATES.items() if dates.get(name))
    if accident.get("date"):
        text += days("439", accident["date"], None)
    if claim["claim_type"] == "institutional" and any(own.get(name) for name in ("admission_type", "admission_source", "patient_status")):
        text += segment("CL1", own.get("admission_type"), own.get("admission_source"), own.get("patient_status"))
    for one in claim.get("attachments", ()):
        if one.get("line_number") is None:
            text += segment("PWK", one.get("report_type"), one.get("transmission"), None, None, "AC", one.get("control_number"))
    if claim.get("patient_paid_amount"):
        text += segment("AMT", "F5", claim["patient_paid_amount"])
    for name, qualifier in (("referral_number", "9F"), ("payer_claim_control_number", "F8"), ("clia_number", "X4"), ("mammography_certification", "EW"), ("ide_number", "LX")):  # fmt: skip
        if claim.get(name):
            text += segment("REF", qualifier, claim[name])
    text += "".join(segment("REF", "G1", number) for number in claim.get("prior_authorization_numbers", ()))
    text += "".join(segment("NTE", one.get("type"), one["text"]) for one in claim.get("notes", ()))
    text += trip(claim) + health_information(claim)
    text += "".join(provider(ROLES[role], found) for role, found in claim["providers"].items() if role != "billing")
    text += "".join(map(other_payer, claim.get("other_payers", ())))
    return text + "".join(service_line(claim, line) for line in claim["service_lines"])


def write_837(claim: dict[str, Any]) -> bytes:
    """The claim in an interchange of its own."""
    version = VERSIONS[claim["claim_type"]]
    payer, subscriber, patient = claim["payer"], claim["subscriber"], claim.get("patient")
    billing = claim["providers"]["billing"]
    text = segment("BHT", "0019", "00", "1", "20260101", "1200", "CH") + segment("HL", 1, None, "20", 1)
    if billing.get("taxonomy_code"):
        text += segment("PRV", "BI", "PXC", billing["taxonomy_code"])
    text += provider("85", billing, taxonomy=None) + segment("HL", 2, 1, "22", int(patient is not None))
    text += segment(
        "SBR", RESPONSIBILITY[claim.get("payer_responsibility", "primary")], subscriber.get("relationship_code"), payer.get("group_number"), None, payer.get("msp_type_code"), None,
        None, None, payer.get("claim_filing_indicator_code"),
    )  # fmt: skip
    if subscriber.get("death_date"):
        text += segment("PAT", None, None, None, None, "D8", day(subscriber["death_date"]))
    text += person("IL", subscriber)
    if claim.get("property_casualty_claim_number"):
        text += segment("REF", "Y4", claim["property_casualty_claim_number"])
    text += segment("NM1", "PR", "2", payer.get("name"), None, None, None, None, "PI", payer["payer_id"])
    if patient is not None:
        text += segment("HL", 3, 2, "23", 0) + segment("PAT", patient.get("relationship_code")) + person("QC", patient)
    text += claim_loop(claim)
    head = segment("GS", "HC", "A", "B", "20260101", "1200", "1", "X", version) + segment("ST", "837", "0001", version)
    return (ISA + head + text + segment("SE", text.count("~") + 2, "0001") + segment("GE", 1, 1) + segment("IEA", 1, "000000001")).encode()
