"""The 837 readers: loops, precedence, many claims, and where each part of a claim stands. What is refused: `test_837_refused`."""

import json

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.native.json_claims import claim_of
from rules_service.formats.x12.claims_837 import read_837
from rules_service.formats.x12.places import position_of
from rules_service.formats.x12.segments import segments
from tests.support.builders import claim_document

HEAD = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~GS*HC*A*B*20260101*1200*1*X*005010X222A1~"
BILLING = "HL*1**20*1~PRV*BI*PXC*207Q00000X~NM1*85*2******XX*1234567893~N4**TX*787010001~REF*EI*123456789~"
SUBSCRIBER = "HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*SAMPLE*JANE****MI*W123456789~DMG*D8*19800517*F~NM1*PR*2******PI*EXAMPLE01~"
CLAIM = "CLM*PCN-1001*150***11:B:1~HI*ABK:J069~LX*1~SV1*HC:P9213*150*UN*1***1~DTP*472*D8*20261120~"


def file(*parts: str) -> bytes:
    inside = "".join(parts)
    return (HEAD + "ST*837*0001*005010X222A1~" + inside + f"SE*{inside.count('~') + 2}*0001~GE*1*1~IEA*1*1~").encode()


def only(*parts: str) -> Claim:
    outcome = read_837(file(*parts))[0].outcome
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
    first, other = (item.outcome for item in read_837(file(BILLING, SUBSCRIBER, patient, CLAIM, second, CLAIM.replace("1001", "1002"))))
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
    assert encode_json(read_837(text.encode())[0].outcome) == encode_json(only(BILLING, SUBSCRIBER, CLAIM))


def test_a_primary_care_provider_is_not_the_referring_one() -> None:
    both = CLAIM.replace("HI*", "NM1*DN*1*REF*A****XX*1234567893~NM1*P3*1*PCP*A****XX*1467560003~HI*")
    found = only(BILLING, SUBSCRIBER, both)
    assert found.providers.referring is not None
    assert found.providers.referring.npi == "1234567893"


def test_an_element_after_an_empty_one_makes_no_accident() -> None:
    assert only(BILLING, SUBSCRIBER, CLAIM.replace("11:B:1~", "11:B:1*Y*A*Y*Y***********8~")).accident is None


def test_another_payer_s_number_is_not_taken_for_ours() -> None:
    found = only(BILLING, SUBSCRIBER, CLAIM, "REF*G1*MINE~REF*G1*OTHERS**2U:P2~REF*9F*OTHERS**2U:P2~")
    assert (found.service_lines[0].prior_authorization_number, found.service_lines[0].referral_number) == ("MINE", None)


def property_claims(*parts: str) -> list[str | None]:
    found = [one.outcome for one in read_837(file(*parts))]
    return [one.property_casualty_claim_number if isinstance(one, Claim) else "(refused)" for one in found]


def test_a_property_and_casualty_claim_number_is_that_of_its_subscriber_or_patient() -> None:
    injured = SUBSCRIBER.replace("NM1*PR", "REF*Y4*PC-1~NM1*PR")
    assert property_claims(BILLING, injured, CLAIM, CLAIM, SUBSCRIBER.replace("HL*2", "HL*3"), CLAIM) == ["PC-1", "PC-1", None]
    body = file(BILLING, injured, CLAIM)
    at = position_of(read_837(body)[0].places, "/property_casualty_claim_number")
    assert at is not None
    assert body[at[1] :].startswith(b"REF*Y4*PC-1")
    policy = injured.replace("*22*0~", "*22*1~").replace("*18*", "**")
    patients = "".join(
        f"HL*{n}*2*23*0~PAT*19~NM1*QC*1*SAMPLE*JO~DMG*D8*20150517*F~{own}{CLAIM}" for n, own in ((3, "REF*Y4*PC-2~"), (4, ""))
    )
    assert property_claims(BILLING, policy, patients) == ["PC-2", "PC-1"]


def test_a_second_property_and_casualty_claim_number_is_a_fault() -> None:
    injured = SUBSCRIBER.replace("NM1*PR", "REF*Y4*PC-1~REF*Y4*PC-2~NM1*PR")
    assert property_claims(BILLING, injured, CLAIM) == ["(refused)"]


def test_conditions_of_an_ambulance_that_do_not_apply_are_not_taken() -> None:
    found = only(BILLING, SUBSCRIBER, CLAIM.replace("HI*", "CR1*LB*140**A*DH*12~CRC*07*Y*01*04~CRC*07*N*05~CRC*07*Y*06~HI*"))
    assert found.ambulance is not None
    assert found.ambulance.conditions == ("01", "04", "06")


def test_a_trip_of_a_line_is_the_line_s() -> None:
    places = "NM1*PW*2~N3*1 MAIN ST~N4*AUSTIN*TX*787010001~NM1*45*2~N3*2 MAIN ST~N4*AUSTIN*TX*787010002~"
    found = only(BILLING, SUBSCRIBER, CLAIM, "CR1*LB*140**B*DH*7~CRC*07*Y*04~", places)
    assert found.ambulance is None
    trip = found.service_lines[0].ambulance
    assert trip is not None
    assert (trip.reason, trip.miles, trip.conditions) == ("B", "7", ("04",))
    assert trip.pickup is not None
    assert trip.dropoff is not None
    assert (trip.pickup.line1, trip.dropoff.line1) == ("1 MAIN ST", "2 MAIN ST")


def test_a_note_of_a_line_names_it() -> None:
    found = only(BILLING, SUBSCRIBER, CLAIM.replace("HI*", "NTE*ADD*OF THE CLAIM~HI*"), "NTE*DCP*OF THE LINE~")
    assert [(one.type, one.text, one.line_number) for one in found.notes] == [("ADD", "OF THE CLAIM", None), ("DCP", "OF THE LINE", 1)]


def test_of_several_authorizations_of_a_line_the_first_of_this_payer_counts() -> None:
    found = only(BILLING, SUBSCRIBER, CLAIM, "REF*G1*OTHERS1**2U:OTHER~REF*G1*OWN1~REF*G1*OWN2~")
    assert found.service_lines[0].prior_authorization_number == "OWN1"


def test_everything_another_payer_said_is_read() -> None:
    told = "SBR*P*18*******CI~CAS*CO*45*40~AMT*D*60~AMT*A8*10.50~AMT*EAF*20~OI***Y*P**Y~NM1*IL*1*SAMPLE*JANE****MI*X1~NM1*PR*2*OTHER*****PI*OTH~DTP*573*D8*20261121~LX*"
    line = "SVD*OTH*60*HC:P9213**1~CAS*CO*45*40~DTP*573*D8*20261121~AMT*EAF*20~"
    found = only(BILLING, SUBSCRIBER.replace("SBR*P", "SBR*S"), CLAIM.replace("LX*", told, 1), line)
    (other,) = found.other_payers
    assert (str(other.paid_amount), str(other.noncovered_amount), str(other.remaining_liability_amount)) == ("60.00", "10.50", "20.00")
    assert (other.benefits_assigned, other.release_code) == ("Y", "Y")
    assert str(found.service_lines[0].prior_adjudication[0].remaining_liability_amount) == "20.00"


def test_the_byte_of_a_segment_counts_bytes() -> None:
    body = file(BILLING, SUBSCRIBER.replace("SAMPLE", "JOSÉÉÉ"), CLAIM)
    (read,) = read_837(body)
    number, at = read.places[""]
    assert body[at : at + 4] == b"CLM*"
    assert isinstance(read.outcome, Claim)
    assert read.outcome.subscriber.last_name == "JOSÉÉÉ"
    assert number == read.segment


HOSPITAL = HEAD.replace("X222A1", "X223A2")
STAY = (
    "CLM*PCN-2*900***11:A:1**A*Y*Y~DTP*096*TM*1030~DTP*434*RD8*20261118-20261120~DTP*435*DT*202611180800~CL1*1*7*01~REF*G1*AUTH1~"
    "HI*ABK:I10:::::::Y~HI*ABJ:R079~HI*APR:R0789~HI*ABN:W1830XA~HI*ABF:E119:::::::N*ABF:Z794~HI*DR:291~HI*BBR:02H633Z:D8:20261118*BBQ:4A023N7:D8:20261119~"
    "HI*BI:74:RD8:20261119-20261119~HI*BH:11:D8:20261118~HI*BE:80:::3~HI*BG:C1~NM1*71*1*DOE*JANE****XX*1467560003~PRV*AT*PXC*207R00000X~NM1*72*1*ROE****XX*1234567893~"
    "SBR*S*18*GRP******CI~CAS*CO*45*50~AMT*D*100~OI***Y***Y~MIA*0****MA01~NM1*IL*1*SAMPLE*JANE****MI*X1~NM1*PR*2*SECOND*****PI*P2~"
    "LX*1~SV2*0120**600*DA*3**50~LX*2~SV2*0300*HC:P9213:25*300*UN*2~DTP*472*D8*20261119~NM1*82*1*ROE****XX*1234567893~"
)


def hospital(*parts: str) -> bytes:
    inside = "".join(parts)
    return (HOSPITAL + "ST*837*0001*005010X223A2~" + inside + f"SE*{inside.count('~') + 2}*0001~GE*1*1~IEA*1*1~").encode()


def test_an_institutional_claim_with_all_it_carries() -> None:
    claim = read_837(hospital(BILLING, SUBSCRIBER, STAY))[0].outcome
    assert isinstance(claim, Claim), claim
    stay = claim.institutional
    assert stay is not None
    assert (claim.claim_type, claim.place_of_service_code, claim.claim_frequency_code, stay.type_of_bill) == (
        "institutional",
        None,
        "1",
        "0111",
    )
    assert (str(stay.statement_from), str(stay.statement_through), stay.admission_at, stay.discharge_hour) == (
        "2026-11-18", "2026-11-20", "2026-11-18T08:00", "10",
    )  # fmt: skip
    assert (stay.admission_type, stay.admission_source, stay.patient_status, stay.drg) == ("1", "7", "01", "291")
    assert [(one.sequence, one.code, one.type, one.present_on_admission) for one in claim.diagnoses] == [
        (1, "I10", "principal", "Y"), (2, "R07.9", "admitting", None), (3, "R07.89", "reason_for_visit", None), (4, "W18.30XA", "external_cause", None),
        (5, "E11.9", "secondary", "N"), (6, "Z79.4", "secondary", None),
    ]  # fmt: skip
    assert [(one.code, str(one.date), one.principal) for one in stay.procedures] == [
        ("02H633Z", "2026-11-18", True),
        ("4A023N7", "2026-11-19", False),
    ]
    assert [(one.code, str(one.from_), str(one.through)) for one in stay.occurrence_spans] == [("74", "2026-11-19", "2026-11-19")]
    assert ([one.code for one in stay.occurrence_codes], [(one.code, str(one.amount)) for one in stay.value_codes]) == (
        ["11"],
        [("80", "3.00")],
    )
    assert (claim.condition_codes, claim.prior_authorization_numbers) == (("C1",), ("AUTH1",))
    assert claim.providers.attending is not None
    assert (claim.providers.attending.npi, claim.providers.attending.taxonomy_code) == ("1467560003", "207R00000X")
    assert claim.providers.operating is not None
    assert (claim.other_payers[0].payer_id, claim.other_payers[0].remarks) == ("P2", ("MA01",))
    room, laboratory = claim.service_lines
    assert (room.revenue_code, room.procedure_code, room.unit_basis, str(room.unit_count), str(room.noncovered_amount)) == (
        "0120",
        None,
        "DA",
        "3",
        "50.00",
    )
    assert (laboratory.procedure_code, laboratory.modifiers, str(laboratory.service_from)) == ("P9213", ("25",), "2026-11-19")
    assert laboratory.providers is not None


def test_a_dental_claim_is_carried() -> None:
    detail = (
        "CLM*PCN-3*150***11:B:1~DTP*472*D8*20261120~DTP*452*D8*20260101~DN1*24~DN2*14*M~REF*G3*PRE1~LX*1~SV3*AD:D2150:22*100****1~TOO*JP*12*M:O~"
        "LX*2~SV3*AD:D6750*50*12*10:20*R*1~DTP*441*D8*20200101~DTP*472*D8*20261121~"
    )
    text = file(BILLING, SUBSCRIBER, detail).decode().replace("X222A1", "X224A2")
    claim = read_837(text.encode())[0].outcome
    assert isinstance(claim, Claim), claim
    assert (claim.claim_type, claim.place_of_service_code) == ("dental", "11")
    assert claim.dental is not None
    assert (claim.dental.orthodontic_months, claim.dental.missing_teeth, claim.dental.predetermination_id, str(claim.dental.banding_date)) == (
        24, ("14",), "PRE1", "2026-01-01",
    )  # fmt: skip
    first, second = claim.service_lines
    assert (first.procedure_code, first.modifiers, first.tooth[0].number, first.tooth[0].surfaces, str(first.service_from)) == (
        "D2150",
        ("22",),
        "12",
        ("M", "O"),
        "2026-11-20",
    )
    assert (second.place_of_service_code, second.oral_cavity, str(second.service_from)) == ("12", ("10", "20"), "2026-11-21")
    assert second.prosthesis is not None
    assert (second.prosthesis.type, str(second.prosthesis.prior_date)) == ("R", "2020-01-01")


def test_transactions_of_different_guides_stand_in_one_interchange() -> None:
    professional, institutional = file(BILLING, SUBSCRIBER, CLAIM).decode(), hospital(BILLING, SUBSCRIBER, STAY).decode()
    body = professional.removesuffix("IEA*1*1~") + institutional[institutional.index("GS*") :]
    assert [getattr(one.outcome, "claim_type", one.outcome) for one in read_837(body.encode())] == ["professional", "institutional"]


def test_every_part_of_a_claim_has_the_segment_it_came_from() -> None:
    dependent = "HL*3*2*23*0~PAT*19*****D8*20261120~NM1*QC*1*SAMPLE*KID~N3*1 WAY~DMG*D8*20150101*M~"
    body = hospital(BILLING, SUBSCRIBER.replace("*22*0", "*22*1"), dependent, STAY)
    named = {one.number: "*".join(one.elements[:2]) for one in segments(body)}
    places = read_837(body)[0].places

    def at(pointer: str) -> str:
        found = position_of(places, pointer)
        assert found is not None
        return named[found[0]]

    assert {pointer: at(pointer) for pointer in EXPECTED_SEGMENTS} == EXPECTED_SEGMENTS


EXPECTED_SEGMENTS = {
    "/providers/billing/npi": "NM1*85", "/providers/billing/tax_id": "REF*EI", "/providers/billing/taxonomy_code": "PRV*BI", "/providers/billing/address": "N4*",
    "/subscriber/member_id": "NM1*IL", "/subscriber/birth_date": "DMG*D8", "/payer/claim_filing_indicator_code": "SBR*P", "/payer/payer_id": "NM1*PR",
    "/patient/birth_date": "DMG*D8", "/patient/sex": "DMG*D8", "/patient/death_date": "PAT*19", "/patient/last_name": "NM1*QC", "/patient/address": "N3*1 WAY",
    "/institutional/patient_status": "CL1*1", "/institutional/statement_through": "DTP*434", "/institutional/admission_at": "DTP*435",
    "/institutional/discharge_hour": "DTP*096", "/diagnoses/0/code": "HI*ABK:I10:::::::Y", "/providers/attending/npi": "NM1*71",
    "/other_payers/0/adjustments/0/amount": "CAS*CO", "/other_payers/0/paid_amount": "AMT*D", "/other_payers/0/remarks": "MIA*0",
    "/service_lines/1/service_from": "DTP*472", "/service_lines/1/unit_count": "SV2*0300", "/prior_authorization_numbers": "REF*G1",
}  # fmt: skip
