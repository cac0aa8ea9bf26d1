"""The 837P reader: loops, precedence, many claims, positions of faults, and the independent parser's word."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.native.json_claims import claim_of
from rules_service.formats.x12.claims_837p import read_837p
from rules_service.primitives.errors import InputError, InvalidClaim, X12Error
from tests.support.builders import claim_document

HEAD = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~GS*HC*A*B*20260101*1200*1*X*005010X222A1~"
BILLING = "HL*1**20*1~PRV*BI*PXC*207Q00000X~NM1*85*2******XX*1234567893~N4**TX*787010001~REF*EI*123456789~"
SUBSCRIBER = "HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*SAMPLE*JANE****MI*W123456789~DMG*D8*19800517*F~NM1*PR*2******PI*EXAMPLE01~"
CLAIM = "CLM*PCN-1001*150***11:B:1~HI*ABK:J069~LX*1~SV1*HC:P9213*150*UN*1***1~DTP*472*D8*20261120~"


def file(*parts: str) -> bytes:
    inside = "".join(parts)
    return (HEAD + "ST*837*0001*005010X222A1~" + inside + f"SE*{inside.count('~') + 2}*0001~GE*1*1~IEA*1*1~").encode()


def only(*parts: str) -> Claim:
    outcome = read_837p(file(*parts))[0].outcome
    assert isinstance(outcome, Claim), outcome
    return outcome


def test_one_claim_in_json_and_837p_is_one_claim() -> None:
    document = claim_document(received_at=None, context=None)
    document["payer"].pop("line_of_business")
    document["providers"]["billing"]["entity_type"] = "2"
    assert encode_json(only(BILLING, SUBSCRIBER, CLAIM)) == encode_json(claim_of(json.dumps(document).encode()))


def test_line_numbers_stand_over_header_numbers_and_a_referral_is_no_authorization() -> None:
    claim = only(BILLING, SUBSCRIBER, CLAIM.replace("HI*", "REF*G1*HEADER1~REF*9F*REFERRAL1~HI*"), "REF*G1*LINE1~")
    assert claim.prior_authorization_numbers == ("HEADER1",)
    assert claim.referral_number == "REFERRAL1"
    assert claim.service_lines[0].prior_authorization_number == "LINE1"


def test_a_dependent_patient_belongs_to_its_own_claim_only() -> None:
    patient = "HL*3*2*23*0~PAT*19~NM1*QC*1*SAMPLE*KID~DMG*D8*20150101*M~"
    second = "HL*4*1*22*0~SBR*S*18*******MB~NM1*IL*1*OTHER*JOE****MI*1EG4TE5MK73~NM1*PR*2******PI*MEDB~"
    first, other = (item.outcome for item in read_837p(file(BILLING, SUBSCRIBER, patient, CLAIM, second, CLAIM.replace("1001", "1002"))))
    assert isinstance(first, Claim)
    assert isinstance(other, Claim)
    assert first.patient is not None
    assert first.patient.relationship_code == "19"
    assert other.patient is None
    assert (other.payer.payer_id, other.payer_responsibility, other.subscriber.member_id) == ("MEDB", "secondary", "1EG4TE5MK73")
    assert other.subscriber.birth_date is None


def test_other_payers_and_line_adjudication() -> None:
    other = "SBR*P*18*GRP******CI~CAS*CO*45*50**253*2~AMT*D*100~NM1*IL*1*SAMPLE*JANE****MI*X1~NM1*PR*2*FIRST*****PI*P1~DTP*573*D8*20261201~"
    line = "SVD*P1*100*HC:P9213:LT**1~CAS*PR*1*25~DTP*573*D8*20261202~"
    claim = only(BILLING, SUBSCRIBER, CLAIM.split("LX")[0], other, "LX" + CLAIM.split("LX")[1], line)
    payer = claim.other_payers[0]
    assert (payer.payer_id, str(payer.paid_amount), str(payer.adjudication_date), [one.carc for one in payer.adjustments]) == (
        "P1",
        "100.00",
        "2026-12-01",
        ["45", "253"],
    )
    judged = claim.service_lines[0].prior_adjudication[0]
    assert (judged.payer_id, judged.modifiers, str(judged.date), judged.adjustments[0].group_code) == ("P1", ("LT",), "2026-12-02", "PR")


def test_drug_dates_providers_and_accident() -> None:
    detail = "CLM*P*150***11:B:7**A*Y*Y**AA:::TX~DTP*439*D8*20261101~REF*F8*ICN1~NM1*82*1*DOE*J****XX*1467560003~PRV*PE*PXC*208D00000X~HI*ABK:J069*ABF:I10~LX*1~SV1*HC:P9213:25:59*150*UN*1.5***2:1~DTP*472*RD8*20261118-20261120~LIN**N4*00002143380~CTP****2*ML~NM1*DK*1*ORD****XX*1234567893~"
    claim = only(BILLING, SUBSCRIBER, detail)
    line = claim.service_lines[0]
    assert claim.accident is not None
    assert (claim.accident.causes, claim.accident.state, str(claim.accident.date)) == (("AA",), "TX", "2026-11-01")
    assert (claim.claim_frequency_code, claim.payer_claim_control_number) == ("7", "ICN1")
    assert claim.providers.rendering is not None
    assert (claim.providers.rendering.npi, claim.providers.rendering.taxonomy_code) == ("1467560003", "208D00000X")
    assert (line.modifiers, line.diagnosis_pointers, str(line.unit_count), str(line.service_from), str(line.service_through)) == (
        ("25", "59"),
        (2, 1),
        "1.5",
        "2026-11-18",
        "2026-11-20",
    )
    assert line.drug is not None
    assert (line.drug.ndc, str(line.drug.quantity), line.drug.unit) == ("00002143380", "2", "ML")
    assert line.providers is not None
    assert line.providers.ordering is not None


def test_other_delimiters_are_read_from_isa() -> None:
    text = file(BILLING, SUBSCRIBER, CLAIM).decode().replace("*", "|").replace(":", ">").replace("~", "\n")
    assert encode_json(read_837p(text.encode())[0].outcome) == encode_json(only(BILLING, SUBSCRIBER, CLAIM))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("*150***11:B:1", "*SECRET***11:B:1"), "x12.amount"),
        (("20261120", "20261340"), "x12.date"),
        (("*UN*1***1", "*UN*SECRET***1"), "x12.quantity"),
        (("*UN*1***1", "*XX*1***1"), "x12.unit_basis"),
        (("*UN*1***1", "*UN*1***A"), "x12.pointer"),
        (("11:B:1", "11>B>1"), "x12.component_separator"),
        (("SV1*HC:P9213*150*UN*1***1~", ""), "x12.required"),
        (("LX*1~SV1*HC:P9213*150*UN*1***1~DTP*472*D8*20261120~", ""), "no_service_lines"),
    ],
)
def test_a_bad_claim_fails_alone_with_its_segment(change: tuple[str, str], code: str) -> None:
    bad = CLAIM.replace(*change)
    assert bad != CLAIM
    first, second = read_837p(file(BILLING, SUBSCRIBER, bad, CLAIM.replace("1001", "1002")))
    assert isinstance(first.outcome, InvalidClaim)
    issue = first.outcome.issues[0]
    assert issue.code == code
    assert issue.where
    assert "SECRET" not in str(first.outcome)
    assert isinstance(second.outcome, Claim)


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    body = bytearray(file(BILLING, SUBSCRIBER, CLAIM))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"~", b"*", b":", b"HL*", b"CLM*", b"~LX*1~", b"~SE*1*1~"])
        )
    try:
        read_837p(bytes(body))
    except (X12Error, InputError) as error:
        assert error.issues
        assert all(issue.where and issue.message and issue.mend for issue in error.issues)
