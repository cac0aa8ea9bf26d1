"""The simulated 277CA: read by an independent validator against the guide's map, marked as what it is, and counting right."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import pyx12.params
from pyx12 import x12n_document

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.x12.acknowledgment import Answered, acknowledgment
from rules_service.formats.x12.parties import ReadClaim, Transmission
from rules_service.formats.x12.segments import Segment, segments
from rules_service.primitives.errors import InvalidClaim
from rules_service.primitives.money import Money
from tests.acceptance.test_rows import ROWS, judged, row_claim
from tests.support.builders import claim

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
IDENTITY = {"evaluation_id": "ev_1", "evaluated_at": "2026-11-26T11:00:00+00:00"}


def answered(found: Claim, segment: int = 13) -> Answered:
    told = IDENTITY | {"outcome": "clean", "findings": []} | json.loads(encode_json(judged(found)))
    return Answered(ReadClaim(found, segment, {}, found.patient_control_number), told)


def validated(text: bytes) -> None:
    """pyx12 finds nothing against the map of 005010X214."""
    report = io.StringIO()
    known = text.decode().replace(":772*", ":255*")  # status 772 is younger than the validator's list of codes
    is_sound = x12n_document.x12n_document(param=pyx12.params.params(), src_file=io.StringIO(known), fd_997=report, fd_html=None)
    assert is_sound, report.getvalue() + text.decode().replace("~", "~\n")


def found(text: bytes, name: str) -> list[Segment]:
    return [one for one in segments(text) if one.name == name]


def statuses(text: bytes) -> list[tuple[str | None, str | None]]:
    """STC01 and STC03 of every status, the receiver's first."""
    return [(one.get(1), one.get(3)) for one in found(text, "STC")]


def test_every_row_of_the_acceptance_list_gives_a_sound_277ca() -> None:
    rows = [answered(row_claim(row), number) for number, row in enumerate(ROWS, 1)]
    text = acknowledgment(rows, NOW)
    validated(text)
    assert len(found(text, "TRN")) >= len(rows)
    rejected = [one for one in rows if any(finding["blocking"] for finding in (one.evaluation or {})["findings"])]
    assert sum(int(one.get(2) or 0) for one in found(text, "QTY") if one.get(1) == "QC") == len(rejected)
    assert sum(int(one.get(2) or 0) for one in found(text, "QTY") if one.get(1) == "QA") == len(rows) - len(rejected)
    actions = [action for status, action in statuses(text)[1:]]
    assert set(actions) == {"WQ", "U"}


def test_it_says_that_it_is_simulated() -> None:
    text = acknowledgment([answered(claim())], NOW)
    (isa,), (gs,), (source, *_) = found(text, "ISA"), found(text, "GS"), found(text, "NM1")
    assert (isa.get(15), (isa.get(6) or "").strip(), gs.get(2), gs.get(8), source.get(3)) == (
        "T",
        "SIMULATED",
        "SIMULATED",
        "005010X214",
        "SIMULATED NOT A PAYER",
    )
    assert not [one for one in found(text, "REF") if one.get(1) == "1K"], "no payer gave a claim number"


def test_a_rejected_claim_has_the_status_of_the_crosswalk_and_a_clean_one_is_accepted() -> None:
    sick = answered(
        claim(
            subscriber={"member_id": "W123456789", "relationship_code": "18", "last_name": "SAMPLE", "birth_date": "2030-01-01", "sex": "F"}
        )
    )
    blocking = [one for one in (sick.evaluation or {})["findings"] if one["blocking"]]
    assert blocking
    text = acknowledgment([sick, answered(claim())], NOW)
    validated(text)
    told = statuses(text)
    assert told[0] == ("A1:19:PR", "WQ")
    assert (blocking[0]["predicted_denial"]["claim_status"], "U") in told
    assert ("A2:20", "WQ") in told


def test_line_statuses_stand_at_the_lines_that_reject() -> None:
    sick = answered(claim(lines=[{}, {"procedure_code": "P1002", "place_of_service_code": "98"}]))
    lines = {number for one in (sick.evaluation or {})["findings"] if one["blocking"] for number in one["line_numbers"]}
    text = acknowledgment([sick], NOW)
    validated(text)
    assert len(found(text, "SVC")) == len(lines) > 0
    assert {one.get(2) for one in found(text, "REF") if one.get(1) == "FJ"} == {str(number) for number in lines}


@pytest.mark.parametrize(("outcome", "status"), [("not_covered", "A1:19:PR"), ("incomplete", "A1:19:PR"), ("clean", "A2:20")])
def test_a_claim_that_could_not_be_judged_is_received_and_not_accepted(outcome: str, status: str) -> None:
    text = acknowledgment([Answered(ReadClaim(claim(), 1, {}, "PCN-1001"), IDENTITY | {"outcome": outcome, "findings": []})], NOW)
    assert statuses(text)[-1] == (status, "WQ")


def test_a_claim_that_could_not_be_read_is_returned_by_its_segment() -> None:
    unread = ReadClaim(InvalidClaim("unreadable"), 27, charge=Money(15000), days=(date(2026, 11, 20), date(2026, 11, 21)))
    text = acknowledgment([Answered(unread, None)], NOW)
    validated(text)
    assert [one.get(4) for one in found(text, "STC")] == ["150.00"] * 3
    assert [one.get(3) for one in found(text, "DTP") if one.get(1) == "472"] == ["20261120-20261121"]
    assert statuses(text)[-1] == ("A3:0", "U")
    assert "SEGMENT 27" in [one.get(2) for one in found(text, "TRN")]


def test_each_transaction_is_answered_by_one_of_its_own_to_who_sent_it_under_its_number() -> None:
    batches = [Transmission("CLINIC", f"BATCH{number}", "CLINIC ONE", "C1", ("|", ">", "!", "~")) for number in (1, 2)]
    one, two = (
        Answered(ReadClaim(claim(patient_control_number="AB:1*2"), 5, {}, "AB:1*2", batch), answered(claim()).evaluation)
        for batch in batches
    )
    text = acknowledgment([one, one, two], NOW)
    assert [(isa.get(8) or "").strip() for isa in found(text, "ISA")] == ["CLINIC"]
    assert [one.get(2) for one in found(text, "ST")] == ["0001", "0002"]
    trace = [segment.get(2) for segment in found(text, "TRN") if segment.get(1) == "2"]
    assert trace == ["BATCH1", "AB:1*2", "AB:1*2", "BATCH2", "AB:1*2"], "the file's own delimiters: nothing of the number is lost"
    assert [(one.get(3), one.get(9)) for one in found(text, "NM1") if one.get(1) == "41"] == [("CLINIC ONE", "C1")] * 2


def test_no_value_of_a_claim_breaks_the_interchange() -> None:
    person: dict[str, Any] = {
        "member_id": "W*1~2:3^4",
        "relationship_code": "18",
        "first_name": "É~*",
        "last_name": "O'BRIEN*:~\n",
        "birth_date": "1980-05-17",
        "sex": "F",
    }
    text = acknowledgment([answered(claim(subscriber=person, patient_control_number="A*B~C:D"))], NOW)
    validated(text)
    assert text.count(b"IEA*") == 1


def test_identifiers_come_back_as_they_were_sent_and_nobody_writes_a_status_of_its_own() -> None:
    billing = {"npi": "1234567893", "entity_type": "1*X~STC*A2:20", "last_or_organization_name": "Clinic"}
    text = acknowledgment([answered(claim(patient_control_number="pcn_1a", providers={"billing": billing}))], NOW)
    assert "pcn_1a" in [one.get(2) for one in found(text, "TRN")]
    assert [one.get(2) for one in found(text, "NM1") if one.get(1) == "85"] == ["2"]
    assert acknowledgment([answered(claim(providers={"billing": billing | {"entity_type": "\u00c9"}}))], NOW)


def test_providers_without_an_npi_are_told_apart() -> None:
    two = [
        answered(claim(providers={"billing": {"tax_id": number, "last_or_organization_name": "Atypical"}}))
        for number in ("111111111", "222222222")
    ]
    text = acknowledgment(two, NOW)
    assert [one.get(9) for one in found(text, "NM1") if one.get(1) == "85"] == ["111111111", "222222222"]


def test_other_evaluations_have_another_control_number_and_the_same_ones_the_same() -> None:
    one = answered(claim())
    other = replace(one, evaluation={**(one.evaluation or {}), "evaluation_id": "ev_2"})
    texts = [acknowledgment([each], moment) for each, moment in ((one, NOW), (one, datetime.now(UTC)), (other, NOW))]
    assert texts[0] == texts[1]
    numbers = [found(text, "ISA")[0].get(13) for text in texts]
    assert numbers[0] != numbers[2]
    assert all(number and len(number) == 9 and int(number) > 0 for number in numbers)


@pytest.mark.parametrize("end", ["~", "\n", "\r"])
def test_each_interchange_is_answered_to_its_own_sender_in_its_own_delimiters(end: str) -> None:
    usual, other = Transmission(sender="CLINICA"), Transmission(sender="CLINICB", delimiters=("|", ">", "!", end))
    reads = [ReadClaim(claim(patient_control_number=number), 13, {}, number, sent) for number, sent in (("P1", usual), ("P*2:", other))]
    told = IDENTITY | {"outcome": "clean", "findings": []}
    text = acknowledgment([Answered(reads[0], told), Answered(reads[1], told | {"evaluation_id": "ev_2"})], NOW)
    heads = found(text, "ISA")
    assert [(one.get(8) or "").strip() for one in heads] == ["CLINICA", "CLINICB"]
    assert heads[0].get(13) != heads[1].get(13)
    assert [one.get(2) for one in found(text, "TRN") if one.get(1) == "2" and one.get(2) != "SIMULATED"] == ["P1", "P*2:"]
    first, second = text[: text.index(b"ISA|")], text[text.index(b"ISA|") :]
    validated(first)
    validated(second)


def test_interchanges_of_which_no_claim_could_be_read_have_numbers_of_their_own() -> None:
    unread = InvalidClaim("A claim of the file cannot be read", [])
    answers = [Answered(ReadClaim(unread, 13, transmission=Transmission(sender=name)), None) for name in ("CLINICA", "CLINICB")]
    first, second = found(acknowledgment(answers, NOW), "ISA")
    assert first.get(13) != second.get(13)
