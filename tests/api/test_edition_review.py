"""Editions of reference tables over HTTP: the first is published, later ones are compared, reviewed by somebody else, and published."""

from __future__ import annotations

from datetime import date
from typing import Any

import httpx
import pytest

from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.reference.comparison import census_issues, compare_editions
from rules_service.reference.lookups import Edition, EditionCatalog
from rules_service.reference.pair_table import NO_LAST_DAY, PairTable, write_pair_table
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from tests.support.builders import claim_bytes
from tests.support.governance import Tenant, new_tenant, refused
from tests.support.public_data import public
from tests.support.server import Server
from tests.support.waiting import ended

TABLE = "ncci_mue_dme_supplier"
PATH = f"/v1/reference-tables/{TABLE}/editions"
HEAD = "HCPCS/CPT Code,DME Supplier Services MUE Values,MUE Adjudication Indicator\n"
ROWS = [f"E{number:04d},{number % 5 + 1},{number % 2 + 1}\n" for number in range(100, 160)]


def upload(tenant: Tenant, label: str, rows: list[str], person: str = "publisher", **changes: str) -> httpx.Response:
    query = {"edition": label, "coverage_from": "2026-07-01", "coverage_through": "2026-09-30", "file_name": "mue.csv"} | changes
    return tenant[person].post(PATH, params=query, content=HEAD + "".join(rows), headers={"Content-Type": "text/csv"})


def editions(tenant: Tenant) -> list[str]:
    return [one["edition"] for one in tenant["author"].get(PATH).json()["data"]]


def epoch(tenant: Tenant) -> int:
    answer = tenant["ehr"].post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"})
    return int(answer.headers["catalog-epoch"])


def proposed(tenant: Tenant, label: str = "2026Q4", rows: list[str] = ROWS, **changes: str) -> dict[str, Any]:
    """A second edition, waiting for its review."""
    answer = upload(tenant, label, rows, coverage_from="2026-10-01", coverage_through="2026-12-31", **changes)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/change-requests/{answer.json()['change_request_id']}"
    return answer.json()


def begun(server: Server) -> Tenant:
    """A tenant whose only reference table has one edition of 60 rows."""
    tenant = new_tenant(server, samples=False)
    assert upload(tenant, "2026Q3", ROWS).status_code == 201
    return tenant


def approve(tenant: Tenant, request: dict[str, Any], person: str = "reviewer") -> httpx.Response:
    return tenant.act(person, request, "reviews", verdict="approve", content_sha256=request["content_sha256"])


def test_the_first_edition_of_a_table_is_published_at_once_and_a_bad_row_loads_nothing(server: Server) -> None:
    tenant = new_tenant(server, samples=False)
    bad = upload(tenant, "2026Q3", [*ROWS, "E0999,x,1\n"])
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, f"mue.csv:{len(ROWS) + 2}")
    before = epoch(tenant)
    good = upload(tenant, "2026Q3", ROWS)
    assert (good.status_code, good.json()["rows"], epoch(tenant)) == (201, 60, before + 1)
    again = upload(tenant, "2026Q3", ROWS)
    assert (again.status_code, epoch(tenant)) == (201, before + 1), "the same edition again is the same edition"
    odd = upload(tenant, "2026Q4", ROWS, coverage_from="soon")
    assert odd.status_code == 422


def test_an_extract_says_that_it_is_one(server: Server) -> None:
    tenant = new_tenant(server, samples=False)
    extract = upload(tenant, "extract", ROWS[:3], partial="true")
    assert (extract.status_code, extract.json()["partial"], extract.json()["sources"][0]["partial"]) == (201, True, True)
    whole = proposed(tenant, accept_census="true")
    assert approve(tenant, whole).status_code == 201
    assert tenant.act("publisher", whole, "publication").status_code == 201
    assert {one["edition"]: one["partial"] for one in tenant["author"].get(PATH).json()["data"]} == {"extract": True, "2026Q4": False}


def test_a_later_edition_waits_for_somebody_else_s_review_and_is_then_published(server: Server) -> None:
    tenant = begun(server)
    before = epoch(tenant)
    request = proposed(tenant)
    assert (request["state"], request["kind"], request["rule_set_id"], editions(tenant)[-1:]) == (
        "in_review",
        "reference",
        f"reference:{TABLE}",
        ["2026Q3"],
    )
    refused(tenant.act("publisher", request, "publication"), 409, "approvals-missing")
    everyone = tenant["everyone"].post(f"/v1/change-requests/{request['change_request_id']}/withdrawal", json={"reason": "Once more."})
    assert everyone.status_code == 200
    own = tenant["everyone"].post(
        PATH, params={"edition": "2026Q4", "coverage_from": "2026-10-01", "file_name": "mue.csv"}, content=HEAD + "".join(ROWS),
        headers={"Content-Type": "text/csv"},
    ).json()  # fmt: skip
    refused(approve(tenant, own, "everyone"), 403, "self-approval-forbidden")
    assert approve(tenant, own).json()["state"] == "approved"
    assert epoch(tenant) == before
    published = tenant.act("publisher", own, "publication")
    assert (published.status_code, published.json()["catalog_epoch"]) == (201, before + 1)
    assert "2026Q4" in editions(tenant)
    assert epoch(tenant) == before + 1
    actions = [event["action"] for event in tenant.events(object_id=own["change_request_id"])]
    assert actions == [
        "reference_edition.proposed",
        "change_request.reviewed.refused",
        "change_request.reviewed",
        "change_request.published",
    ]


def test_the_difference_from_the_edition_before_is_told(server: Server) -> None:
    tenant = begun(server)
    changed = [*ROWS[1:], "E0300,9,2\n"]
    changed[0] = "E0101,7,2\n"
    request = proposed(tenant, rows=changed)
    found = tenant["reviewer"].get(f"/v1/change-requests/{request['change_request_id']}/edition").json()
    told = found["difference"]
    assert (told["rows_before"], told["rows"], told["added"], told["removed"]) == (60, 60, 1, 1)
    assert (told["added_samples"], told["removed_samples"]) == (["E0300"], ["E0100"])
    assert (found["rows"], found["accepted_census"], found["sources"][0]["name"]) == (60, False, "mue.csv")
    refused(tenant["reviewer"].get("/v1/change-requests/cr_0/edition"), 404, "not-found")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:40], "40 rows, the edition before had 60"),
        ([row.replace(",1\n", ",3\n") for row in ROWS], "values no edition before had: 3"),
        ([row.replace("E0", "K0") for row in ROWS], "codes looked for are gone"),
    ],
)
def test_an_edition_that_does_not_look_like_its_table_is_refused_unless_somebody_accepts_it(
    server: Server, rows: list[str], said: str
) -> None:
    tenant = begun(server)
    answer = upload(tenant, "2026Q4", rows, coverage_from="2026-10-01", coverage_through="2026-12-31")
    problem = refused(answer, 422, "validation-error")
    assert said in " ".join(issue["message"] for issue in problem["errors"])
    assert {issue["code"] for issue in problem["errors"]} == {"census"}
    request = proposed(tenant, rows=rows, accept_census="true")
    assert tenant["reviewer"].get(f"/v1/change-requests/{request['change_request_id']}/edition").json()["accepted_census"] is True


def test_one_edition_at_a_time_and_none_that_was_compared_with_another_before_it(server: Server) -> None:
    tenant = begun(server)
    first = proposed(tenant)
    refused(upload(tenant, "2026Q4b", ROWS[1:], coverage_from="2026-10-01", coverage_through="2026-12-31"), 409, "change-request-open")
    refused(tenant.act("author", first, "submission"), 409, "state-conflict")
    withdrawn = tenant.act("author", first, "withdrawal", reason="Another is better.")
    assert withdrawn.json()["state"] == "withdrawn"
    second = proposed(tenant, label="2026Q4b")
    approve(tenant, second)
    assert tenant.act("publisher", second, "publication").status_code == 201


def test_an_older_form_of_a_live_edition_comes_back_by_review_only(server: Server) -> None:
    tenant = begun(server)
    corrected = upload(tenant, "2026Q3", [*ROWS[:-1], "E0159,9,2\n"])
    assert corrected.status_code == 202, corrected.text
    assert approve(tenant, corrected.json()).json()["state"] == "approved"
    assert tenant.act("publisher", corrected.json(), "publication").status_code == 201
    before = epoch(tenant)
    assert upload(tenant, "2026Q3", ROWS).status_code == 202
    assert epoch(tenant) == before
    assert upload(tenant, "2026Q3", [*ROWS[:-1], "E0159,9,2\n"]).status_code == 201, "what is live is known, and nothing is done"
    assert epoch(tenant) == before


def test_an_evaluation_replays_with_the_edition_it_was_judged_with(server: Server) -> None:
    tenant = begun(server)
    answer = tenant["ehr"].post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"}).json()
    request = proposed(tenant)
    approve(tenant, request)
    tenant.act("publisher", request, "publication")
    replayed = tenant["auditor"].post(f"/v1/evaluations/{answer['evaluation_id']}/replay", json={}).json()
    assert replayed["verdict"] == "reproduced"


# The comparison itself


def codes_table(*rows: tuple[str, int]) -> CodeTable:
    return CodeTable(write_code_table([Row(code, date(2026, 1, 1), None, (value,)) for code, value in rows], [("mai", "int")]))


def pairs(*rows: tuple[str, str, int, int, int]) -> PairTable:
    one, two, first, last, indicator = (list(column) for column in zip(*rows, strict=True))
    return PairTable(write_pair_table(one, two, first, last, indicator))


def test_code_tables_are_compared_by_code() -> None:
    found = compare_editions(codes_table(("A1", 1), ("A2", 2), ("A3", 1)), codes_table(("A2", 1), ("A3", 1), ("A4", 3)))
    assert (found.added_samples, found.removed_samples, found.changed_samples) == (("A4",), ("A1",), ("A2",))
    assert found.new_indicators == {"mai": ("3",)}
    assert (found.canaries, found.canaries_gone) == (3, ("A1",))
    assert [issue.code for issue in census_issues("t", found)] == ["census", "census"]


def test_pair_tables_are_compared_by_pair() -> None:
    before = pairs(("11042", "97597", 1, NO_LAST_DAY, 1), ("11042", "97598", 1, NO_LAST_DAY, 1), ("20000", "20001", 1, 9, 0))
    after = pairs(("11042", "97597", 1, 500, 1), ("20000", "20001", 1, 9, 0), ("20000", "20002", 5, NO_LAST_DAY, 9))
    found = compare_editions(before, after)
    assert (found.added_samples, found.removed_samples, found.changed_samples) == (("20000/20002",), ("11042/97598",), ("11042/97597",))
    assert (found.new_indicators, found.canaries_gone) == ({"indicator": ("9",)}, ("97598",))
    same = compare_editions(before, before)
    assert (same.added, same.removed, same.changed, census_issues("t", same)) == (0, 0, 0, [])
    with pytest.raises(ValueError, match="one table"):
        compare_editions(before, codes_table(("A1", 1)))


def test_a_published_quarter_is_compared_with_a_cut_one() -> None:
    source = public("ncci/mue_prac_2024Q3.csv")
    data, coverage = source.read_bytes(), EffectivePeriod(date(2024, 7, 1), date(2024, 9, 30))
    whole = CodeTable(parse_table("ncci_mue_practitioner", [SourceFile(source.name, data)], coverage).blob)
    lines = data.splitlines(keepends=True)
    cut = CodeTable(parse_table("ncci_mue_practitioner", [SourceFile(source.name, b"".join(lines[: len(lines) // 2]))], coverage).blob)
    assert census_issues("mue", compare_editions(whole, whole)) == []
    assert len(census_issues("mue", compare_editions(whole, cut))) == 2


# Time: editions that begin in the past, and editions that end


def test_an_edition_of_days_past_needs_the_scope_for_it_and_tells_what_it_would_change(server: Server) -> None:
    tenant = begun(server)
    judged = tenant["ehr"].post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"}).json()
    request = proposed(tenant)
    approve(tenant, request)
    plain = tenant.person("plain publisher", ["rules:read", "rules:publish"])
    refused(plain.post(f"/v1/change-requests/{request['change_request_id']}/publication"), 403, "insufficient-scope")
    published = tenant.act("publisher", request, "publication")
    assert (published.status_code, published.json()["retroactive_from"]) == (201, "2026-10-01"), published.text
    (job,) = tenant["auditor"].get("/v1/jobs", params={"kind": "affected_evaluations"}).json()["data"]
    done = ended(tenant["auditor"], job)
    assert (done["state"], done["result"]["transitions"]["unchanged"]) == ("succeeded", 1), judged["evaluation_id"]


def test_the_outlook_tells_the_day_from_which_a_table_has_no_edition(server: Server) -> None:
    tenant = begun(server)
    request = proposed(tenant)
    approve(tenant, request)
    tenant.act("publisher", request, "publication")
    upcoming = tenant["author"].get("/v1/upcoming-changes", params={"days": 60}).json()["data"]
    assert [(one["on"], one["what"], one["rule_set_id"]) for one in upcoming if one["what"] == "edition_ends"] == [
        ("2027-01-01", "edition_ends", f"reference:{TABLE}")
    ]


def test_what_a_later_edition_took_over_does_not_come_back_when_it_ends() -> None:
    table = codes_table(("A1", 1))

    def edition(label: str, first: date, last: date, epoch: int) -> Edition:
        return Edition("t", label, "", EffectivePeriod(first, last), epoch, lambda: table)

    def named(catalog: EditionCatalog, day: date) -> str:
        found = catalog.find("t", day)
        return found.edition if isinstance(found, Edition) else found.reason

    year = (date(2026, 1, 1), date(2026, 12, 31))
    quarter = edition("quarter", date(2026, 4, 1), date(2026, 6, 30), 2)
    taken_over = EditionCatalog([edition("year", *year, 1), quarter])
    assert [named(taken_over, date(2026, month, day)) for month, day in ((3, 31), (4, 1), (6, 30), (7, 1))] == [
        "year", "quarter", "quarter", "reference_edition_out_of_range",
    ]  # fmt: skip
    published_last = EditionCatalog([edition("year", *year, 3), quarter])
    assert named(published_last, date(2026, 7, 1)) == "year", "it came after the quarter and answers for what follows it"
