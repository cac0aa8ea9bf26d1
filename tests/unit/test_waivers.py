"""The book of waivers and the overlay they make."""

from datetime import UTC, date, datetime

import msgspec

from rules_service.findings.waivers import Waiver, WaiverBook, with_waivers

DAY = date(2026, 11, 24)


def waiver(name: str, **changes: object) -> Waiver:
    values: dict[str, object] = {
        "scope": "finding", "rule_id": "R-1", "code": "x.y", "lineage_id": "li_1", "finding_key": "k1", "payer_id": None, "billing_npi": None,
        "reason_code": "because", "waived_by": "cl_1", "on_behalf_of": None, "waived_at": datetime(2026, 11, 1, tzinfo=UTC), "expires_on": DAY,
    }  # fmt: skip
    return Waiver(waiver_id=name, **(values | changes))  # type: ignore[arg-type]


STANDING = waiver("wv_s", scope="standing", lineage_id=None, finding_key=None, payer_id="P", billing_npi="N")


def test_a_waiver_matches_what_it_names_through_its_day() -> None:
    book = WaiverBook(1, [waiver("wv_f"), STANDING])
    found = book.matching([("k1", "x.y"), ("k2", "x.y"), ("k3", "other")], "li_1", "P", "N", DAY)
    assert {key: one.waiver_id for key, one in found.items()} == {"k1": "wv_f", "k2": "wv_s"}
    assert book.matching([("k1", "x.y")], "li_1", "P", "N", date(2026, 11, 25)) == {}
    for lineage, payer, npi in (("li_2", "Q", "N"), ("li_2", "P", "M"), ("li_2", "P", None), ("li_2", "", "N")):
        assert book.matching([("k1", "x.y")], lineage, payer, npi, DAY) == {}
    assert not WaiverBook(5)


def answer(*findings: tuple[str, str, bool], outcome: str = "findings") -> bytes:
    shown = [{"finding_key": key, "severity": severity, "blocking": blocking, "waiver": None} for key, severity, blocking in findings]
    return msgspec.json.encode({"outcome": outcome, "disposition": "hold", "findings": shown})


def test_the_disposition_is_that_of_what_is_not_waived() -> None:
    matched = {"k1": waiver("wv_f")}
    for findings, outcome, expected in (
        ([("k1", "deny_hard", True)], "findings", "release"),
        ([("k1", "deny_hard", True), ("k2", "reject", True)], "findings", "hold"),
        ([("k1", "deny_hard", True), ("k2", "warn", False)], "findings", "review"),
        ([("k1", "deny_hard", True), ("k2", "info", False)], "findings", "release"),
        ([("k1", "info", False)], "incomplete", "review"),
    ):
        document = msgspec.json.decode(with_waivers(answer(*findings, outcome=outcome), matched))
        assert document["disposition"] == expected
        assert [one["waiver"] is not None for one in document["findings"]] == [key == "k1" for key, _, _ in findings]
