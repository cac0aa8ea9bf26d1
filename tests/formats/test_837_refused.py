"""What of an 837 is refused: claims that cannot be read in one way, broken envelopes, and damage of any kind."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.claim.claim import Claim
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import InputError, InvalidClaim, X12Error
from tests.formats.test_837 import BILLING, CLAIM, STAY, SUBSCRIBER, file, hospital, only


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
    first, second = read_837(file(BILLING, SUBSCRIBER, bad, CLAIM.replace("1001", "1002")))
    assert isinstance(first.outcome, InvalidClaim)
    issue = first.outcome.issues[0]
    assert issue.code == code
    assert issue.where
    assert "SECRET" not in str(first.outcome)
    assert isinstance(second.outcome, Claim)


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        (CLAIM.replace("D8*20261120", "D8*20261120-20261130"), "x12.date"),
        (CLAIM.replace("D8*20261120", "D8*202611209"), "x12.date"),
        (CLAIM.replace("*D8*", "*DT*"), "x12.date"),
        (CLAIM.replace("DTP*", "SV1*HC:P1001*99*UN*1***1~DTP*"), "x12.repeated"),
        (CLAIM + "DTP*472*D8*20261121~", "x12.repeated"),
        (CLAIM.replace("HI*", "REF*F8*ONE~REF*F8*TWO~HI*"), "x12.repeated"),
        (CLAIM.replace("HI*", "NM1*82*1*ONE****XX*1467560003~NM1*82*1*TWO****XX*1234567893~HI*"), "x12.repeated"),
        (CLAIM + "LIN**N4*00000000001~LIN**N4*00000000002~", "x12.repeated"),
        (CLAIM.replace("PCN-1001", ""), "x12.required"),
        (CLAIM.replace("HI*", "AMT*F5*1~AMT*F5*2~HI*"), "x12.repeated"),
        (CLAIM.replace("HI*", "DTP*439*D8*20261101~DTP*439*D8*20261102~HI*"), "x12.repeated"),
        (CLAIM + "SV5*HC:E0143*DA*1*2~SV5*HC:E0143*DA*1*3~", "x12.repeated"),
        (CLAIM.replace("LX*", "SBR*S*18~NM1*PR*2******PI*ONE~NM1*PR*2******PI*TWO~LX*"), "x12.repeated"),
        (CLAIM.replace("HC:P9213", "ER:P9213"), "x12.qualifier"),
        (CLAIM.replace("ABK:J069", "ABK:J069*ZBF:I10"), "x12.qualifier"),
        (CLAIM.replace("ABK:J069", "BK:4659"), "x12.qualifier"),
        (CLAIM + CLAIM.replace("CLM*", "CML*").split("~")[0] + "~", "x12.segment"),
        (CLAIM + "clm*PCN-2*10***11:B:1~", "x12.segment"),
        (CLAIM + "REF*6R*ONE~REF*6R*TWO~", "x12.repeated"),
        (CLAIM + "LIN**N4*00000000001~CTP****2*UN~CTP****3*UN~", "x12.repeated"),
        (CLAIM.replace("LX*", "PAT*19~LX*"), "x12.hierarchy"),
        (CLAIM + "CTP****2*UN~LIN**N4*00000000001~", "x12.required"),
        (CLAIM.replace("LX*", "SBR*S*18~CAS*CO*45~NM1*PR*2******PI*ONE~LX*"), "x12.required"),
        (CLAIM.replace("LX*", "SBR*S*18~CAS*CO**50~NM1*PR*2******PI*ONE~LX*"), "x12.required"),
        (CLAIM.replace("LX*", "SBR*S*18~CAS*CO~NM1*PR*2******PI*ONE~LX*"), "x12.required"),
        (CLAIM.replace("LX*", "CAS*CO*45*50~LX*"), "x12.required"),
        (CLAIM + "CAS*CO*45*50~SVD*ONE*50*HC:99213**1~", "x12.required"),
    ],
)
def test_what_cannot_be_read_in_one_way_is_not_read(claim: str, code: str) -> None:
    outcome = read_837(file(BILLING, SUBSCRIBER, claim))[0].outcome
    assert isinstance(outcome, InvalidClaim)
    assert [issue.code for issue in outcome.issues] == [code]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("NM1*PR*2******PI*EXAMPLE01~", "NM1*PR*2******PI*EXAMPLE01~NM1*PR*2******PI*OTHER~"), "x12.repeated"),
        (("SBR*P*18*******CI~", "SBR*P*18*******CI~SBR*S*18*******MB~"), "x12.repeated"),
        (("DMG*D8*19800517*F~", "DMG*D8*19800517*F~DMG*D8*19810517*F~"), "x12.repeated"),
        (("NM1*PR*2******PI*EXAMPLE01~", "NM1*PR*2******PI*EXAMPLE01~NM1*QC*1*SAMPLE*KID~"), "x12.hierarchy"),
        (("REF*EI", "NM1*85*2*OTHER*****XX*1467560003~REF*EI"), "x12.repeated"),
    ],
)
def test_parties_that_are_said_twice_or_out_of_their_place_are_not_read(change: tuple[str, str], code: str) -> None:
    sent = (BILLING + SUBSCRIBER).replace(*change)
    outcome = read_837(file(sent, CLAIM))[0].outcome
    assert isinstance(outcome, InvalidClaim)
    assert [issue.code for issue in outcome.issues] == [code]


def test_diagnoses_said_to_be_icd_9_are_read_for_services_of_their_time() -> None:
    assert only(BILLING, SUBSCRIBER, CLAIM.replace("ABK:J069", "BK:4659").replace("20261120", "20150930")).diagnoses[0].code == "465.9"
    sent = CLAIM.replace("ABK:J069", "BK:4659").replace("20261120", "20151001")
    assert isinstance(read_837(file(BILLING, SUBSCRIBER, sent))[0].outcome, InvalidClaim)


@pytest.mark.parametrize(
    ("sent", "counted", "is_read"),
    [("SE*{}*0001", 1, False), ("SE*{}*0001", -1, True), ("GE*1*1", 1, False), ("IEA*1*1", 1, False)],
)
def test_a_trailer_that_counts_more_than_came_refuses_the_file(sent: str, counted: int, is_read: bool) -> None:
    text = file(BILLING, SUBSCRIBER, CLAIM).decode()
    count = int(text.partition("SE*")[2].partition("*")[0])
    changed = text.replace(sent.format(count), sent.replace("*{}*", f"*{count + counted}*").replace("*1*1", "*2*1"))
    assert changed != text
    if is_read:
        assert len(read_837(changed.encode())) == 1
        return
    with pytest.raises(X12Error) as refused:
        read_837(changed.encode())
    assert [issue.code for issue in refused.value.issues] == ["x12.count"]


def test_a_dependent_belongs_to_the_subscriber_its_level_names() -> None:
    other = SUBSCRIBER.replace("HL*2", "HL*3").replace("W123456789", "W222222222")
    patient = "HL*4*{}*23*0~PAT*19~NM1*QC*1*SAMPLE*KID~DMG*D8*20150517*F~"
    read = read_837(file(BILLING, SUBSCRIBER, other, patient.format(2), CLAIM, patient.format(3), CLAIM))
    assert isinstance(read[0].outcome, InvalidClaim)
    assert [(one.code, one.where.split(",")[0]) for one in read[0].outcome.issues] == [("x12.hierarchy", "segment 19 HL")]
    assert isinstance(read[1].outcome, Claim)
    assert read[1].outcome.subscriber.member_id == "W222222222"


def test_a_subscriber_that_names_an_earlier_billing_provider_is_not_read() -> None:
    second = BILLING.replace("HL*1", "HL*5").replace("1234567893", "1467560003")
    stray = SUBSCRIBER.replace("HL*2*1", "HL*6*1")
    read = read_837(file(BILLING, SUBSCRIBER, CLAIM, second, stray, CLAIM))
    assert [isinstance(one.outcome, Claim) for one in read] == [True, False]


def test_a_fault_of_one_dependent_is_not_that_of_the_next() -> None:
    first = "HL*3*2*23*0~PAT*19~NM1*QC*1*SAMPLE*KID~DMG*D8*BAD*M~"
    second = "HL*4*2*23*0~PAT*19~NM1*QC*1*SAMPLE*OTHER~DMG*D8*20150101*M~"
    bad, good = read_837(file(BILLING, SUBSCRIBER.replace("*22*0", "*22*1"), first, CLAIM, second, CLAIM))
    assert isinstance(bad.outcome, InvalidClaim)
    assert isinstance(good.outcome, Claim), good.outcome


@pytest.mark.parametrize(("sent", "place"), [("SE*12*0002~", "SE"), ("GE*1*2~", "GE"), ("IEA*1*2~", "IEA")])
def test_a_trailer_with_another_control_number_refuses_the_file(sent: str, place: str) -> None:
    text = re.sub(rf"{place}\*[0-9]+\*[0-9]+~", sent, file(BILLING, SUBSCRIBER, CLAIM).decode())
    with pytest.raises(X12Error) as refused:
        read_837(text.encode())
    (issue,) = refused.value.issues
    assert issue.code == "x12.control_number"
    assert place in issue.where


def test_more_codes_than_a_segment_has_are_refused_and_not_read() -> None:
    (read,) = read_837(file(BILLING, SUBSCRIBER, CLAIM.replace("HI*ABK:J069", "HI*ABK:J069" + "*ABF:I10" * 500)))
    assert isinstance(read.outcome, InvalidClaim)
    assert read.outcome.issues[0].code == "x12.too_many_codes"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("DTP*434*RD8*20261118-20261120", "DTP*434*RD8*20261118"), "x12.date"),
        (("DTP*435*DT*202611180800", "DTP*435*DT*202611182500"), "x12.date"),
        (("DTP*435*DT*202611180800", "DTP*435*TM*202611180800"), "x12.date"),
        (("DTP*096*TM*1030", "DTP*096*D8*20261120"), "x12.date"),
        (("DTP*096*TM*1030", "DTP*096*TM*XX"), "x12.date"),
        (("HI*DR:291~", "HI*DR:291~HI*DR:292~"), "x12.repeated"),
        (("CL1*", "CL1*9*9*01~CL1*"), "x12.repeated"),
        (("BI:74:RD8:20261119-20261119", "BI:74:RD8:SECRET"), "x12.date"),
        (("BBR:02H633Z:D8:20261118", "BBR:02H633Z:D8:20261399"), "x12.date"),
        (("BE:80:::3", "BE:80:::SECRET"), "x12.amount"),
        (("SV2*0120**600*DA", "SV2*0120***DA"), "x12.required"),
        (("*600*DA*3", "*600*DA*SECRET"), "x12.quantity"),
    ],
)
def test_a_bad_institutional_claim_fails_alone_with_its_segment(change: tuple[str, str], code: str) -> None:
    bad = STAY.replace(*change)
    assert bad != STAY
    first, second = read_837(hospital(BILLING, SUBSCRIBER, bad, STAY.replace("PCN-2", "PCN-9")))
    assert isinstance(first.outcome, InvalidClaim)
    assert [issue.code for issue in first.outcome.issues][:1] == [code]
    assert first.outcome.issues[0].where.startswith("segment ")
    assert "SECRET" not in str(first.outcome)
    assert isinstance(second.outcome, Claim)


@pytest.mark.parametrize(
    ("version", "code"), [("004010X096A1", "x12.version_4010"), ("005010X279A1", "x12.version"), ("005010X221A1", "x12.version")]
)
def test_another_guide_refuses_the_file(version: str, code: str) -> None:
    with pytest.raises(X12Error) as refused:
        read_837(file(BILLING, SUBSCRIBER, CLAIM).decode().replace("005010X222A1", version).encode())
    assert [issue.code for issue in refused.value.issues] == [code]


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_institutional_file_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    damaged(bytearray(hospital(BILLING, SUBSCRIBER, STAY)), data)


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    damaged(bytearray(file(BILLING, SUBSCRIBER, CLAIM)), data)


def damaged(body: bytearray, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from([b"~", b"*", b":", b"HL*", b"CLM*", b"~LX*1~", b"~SE*1*1~", b"~HI*BE:", b"~DTP*435*DT*"])
        )
    try:
        read_837(bytes(body))
    except (X12Error, InputError) as error:
        assert error.issues
        assert all(issue.where and issue.message and issue.mend for issue in error.issues)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda text: text.replace(b"GE*1*1~", b""), "x12.no_ge"),
        (lambda text: text.replace(b"~ST*", b"~GS*HC*A*B*20261120*1200*2*X*005010X222A1~ST*", 1), "x12.gs"),
        (lambda text: text.replace(b"GE*1*1~", b"GE*1*1~GE*1*1~"), "x12.ge"),
        (lambda text: text.replace(b"IEA*1*1~", b"") + text, "x12.no_iea"),
        (lambda text: text + text.replace(text[text.index(b"GS*") : text.index(b"ST*")], b""), "x12.st"),
    ],
)
def test_an_envelope_that_is_broken_refuses_the_file(broken: Callable[[bytes], bytes], code: str) -> None:
    text = file(BILLING, SUBSCRIBER, CLAIM)
    assert len(read_837(text + text)) == 2, "two interchanges"
    with pytest.raises(X12Error) as refused:
        list(read_837(broken(text)))
    (issue,) = refused.value.issues
    assert issue.code == code
    assert re.search(r"segment \d+.*byte \d+", issue.where)


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        (CLAIM.replace("SV1*HC:P9213*150*UN*1***1~", ""), "x12.required"),
        (CLAIM.replace("LX*1~SV1*HC:P9213*150*UN*1***1~DTP*472*D8*20261120~", ""), "no_service_lines"),
        (CLAIM + "LX*1~SV1*HC:P9213*150*UN*1***1~", "line_number_twice"),
        (CLAIM.replace("LX*1~", "LX*0~"), "line_number_range"),
        (CLAIM.replace("*150***11:B:1", "****11:B:1"), "x12.required"),
        (CLAIM.replace("*UN*1*", "*UN*-1*"), "negative_units"),
    ],
)
def test_every_fault_of_a_claim_names_segment_and_byte(claim: str, code: str) -> None:
    (read,) = read_837(file(BILLING, SUBSCRIBER, claim))
    assert isinstance(read.outcome, InvalidClaim)
    assert [one.code for one in read.outcome.issues] == [code]
    assert all(re.search(r"^segment \d+.*, byte \d+$", one.where) for one in read.outcome.issues), read.outcome.issues


@pytest.mark.parametrize("padding", [b"\x1a", b"\r\n\x1a", b"\x00" * 40])
def test_what_a_sender_puts_after_the_last_segment_is_no_fault(padding: bytes) -> None:
    whole = file(BILLING, SUBSCRIBER, CLAIM)
    assert [one.patient_control_number for one in read_837(whole + padding)] == [one.patient_control_number for one in read_837(whole)]


OTHER_BILLING = BILLING.replace("HL*1", "HL*3").replace("1234567893", "1467560003")
OTHER_SUBSCRIBER = SUBSCRIBER.replace("HL*2*1", "HL*4*1").replace("W123456789", "W222222222")
KID = "HL*4*2*23*0~PAT*19~NM1*QC*1*SAMPLE*KID~DMG*D8*20150517*F~"


@pytest.mark.parametrize(
    "level", [OTHER_BILLING + OTHER_SUBSCRIBER.replace("HL*4*1", "HL*4*3"), OTHER_SUBSCRIBER, KID], ids=["20", "22", "23"]
)
@pytest.mark.parametrize("lost", ["", "hl*9**20*1~", "XX*1~"], ids=["left out", "lower case", "unknown"])
def test_no_claim_is_read_under_the_level_before_the_one_that_was_lost(level: str, lost: str) -> None:
    damaged = lost + level[level.index("~") + 1 :]
    read = read_837(file(BILLING, SUBSCRIBER, CLAIM, damaged, CLAIM.replace("1001", "1002")))
    assert [isinstance(one.outcome, Claim) for one in read] == [False, False]
    whole = read_837(file(BILLING, SUBSCRIBER, CLAIM, level, CLAIM.replace("1001", "1002")))
    assert [isinstance(one.outcome, Claim) for one in whole] == [True, True]


@pytest.mark.parametrize("level", ["2O", "020", "19", ""])
def test_no_claim_is_read_under_a_level_that_is_none(level: str) -> None:
    damaged = OTHER_BILLING.replace("**20*", f"**{level}*") + OTHER_SUBSCRIBER.replace("HL*4*1", "HL*4*3")
    assert damaged.startswith(f"HL*3**{level}*")
    read = read_837(file(BILLING, SUBSCRIBER, CLAIM, damaged, CLAIM.replace("1001", "1002")))
    assert [isinstance(one.outcome, Claim) for one in read] == [True, False]


def test_the_quantity_of_a_product_that_is_no_drug_is_passed_over() -> None:
    line = only(BILLING, SUBSCRIBER, CLAIM + "LIN**UP*012345678905~CTP****1*UN~").service_lines[0]
    assert line.drug is None


def test_what_follows_a_lost_level_is_read_again_from_the_next_whole_one_on() -> None:
    damaged = KID[KID.index("~") + 1 :]
    after = OTHER_SUBSCRIBER + CLAIM.replace("1001", "1003")
    read = read_837(file(BILLING, SUBSCRIBER, CLAIM, damaged, CLAIM.replace("1001", "1002"), after))
    assert [isinstance(one.outcome, Claim) for one in read] == [False, False, True]
