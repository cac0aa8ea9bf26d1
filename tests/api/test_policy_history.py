"""What an auditor asks over real HTTP, on both databases: what changed, who approved it, what applied when, and would it be so again."""

import pytest

from tests.support.governance import FILING, LATE, RULE_SET, Tenant, future_change, new_tenant, past_change, refused, validate
from tests.support.server import Server


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def test_the_difference_is_told_in_words_and_as_text(tenant: Tenant) -> None:
    tenant.edit(future_change())
    diff = tenant["reviewer"].get(f"/v1/rule-sets/{RULE_SET}/diff", params={"from": 1}).json()
    texts = [change["text"] for change in diff["changes"]]
    assert "Rule EX1-TF-001: version 3 applies from 2040-01-01." in texts
    assert "Rule EX1-TF-001: version 2 applies from 2026-07-01 through 2039-12-31; before, from 2026-07-01." in texts
    assert "Rule EX1-TF-001: parameters.clocks[0].limit.value 90 -> 60." in texts
    assert "Rule EX1-TF-001: citations[0].effective_from 2026-07-01 -> 2040-01-01." in texts
    assert len(texts) == 4
    assert f"+++ b/{FILING}/rule.yaml" in diff["text_diff"]
    tenant.published()
    again = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/diff", params={"from": 1, "to": 2}).json()
    assert again["changes"] == diff["changes"]
    whole = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/diff", params={"to": 1}).json()
    assert {change["what"] for change in whole["changes"]} == {"rule_added"}


def test_a_rule_s_history_names_versions_authors_and_approvers(tenant: Tenant) -> None:
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: New ")})
    tenant.published()  # says nothing new of the rule
    tenant.edit(future_change())
    tenant.published()
    history = tenant["auditor"].get("/v1/rules/EX1-TF-001/history").json()["data"]
    assert [entry["number"] for entry in history] == [1, 3]
    loaded, changed = history
    assert (loaded["change_request_id"], loaded["authors"], loaded["published_by"]) == (None, [], "tests")
    assert [window["version"] for window in changed["windows"]] == [1, 2, 3]
    assert changed["windows"][2]["citations"]
    assert len(changed["authors"]) == 1
    assert len(changed["approved_by"]) == 1
    assert set(changed["authors"]).isdisjoint(changed["approved_by"])
    assert tenant["auditor"].get("/v1/rules/NO-SUCH/history").status_code == 404


def test_what_applies_on_a_day_is_answered_as_it_was_known(tenant: Tenant) -> None:
    tenant.edit(future_change())
    published = tenant.published()

    def version(**params: object) -> int:
        answer = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/resolve", params={"policy_date": "2040-01-01", **params})
        assert answer.status_code == 200, answer.text
        return next(one["version"] for one in answer.json()["data"] if one["rule_id"] == "EX1-TF-001")

    assert version() == 3
    assert version(epoch=published["catalog_epoch"]) == 3
    assert version(epoch=published["catalog_epoch"] - 1) == 2
    at = tenant.events(action="change_request.published")[0]["at"]
    assert version(known_at=tenant.events(action="draft.saved")[0]["at"]) == 2
    assert version(known_at=at.replace("2026", "2036", 1)) == 3
    answer = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/resolve", params={"policy_date": "2039-12-31"}).json()
    assert next(one["version"] for one in answer["data"] if one["rule_id"] == "EX1-TF-001") == 2
    early = tenant["auditor"].get(
        f"/v1/rule-sets/{RULE_SET}/resolve", params={"policy_date": "2040-01-01", "known_at": "2001-01-01T00:00:00Z"}
    )
    assert early.json()["data"] == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"policy_date": "tomorrow"},
        {"policy_date": "2026-01-01", "known_at": "2026-01-01T00:00:00"},
        {"policy_date": "2026-01-01", "epoch": "-1"},
        {"policy_date": "2026-01-01", "epoch": "1", "known_at": "2026-01-01T00:00:00Z"},
        {"policy_date": "2026-01-01", "nonsense": "1"},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(tenant: Tenant, params: dict) -> None:
    refused(tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/resolve", params=params), 400, "bad-request")


def test_gov_01_a_replay_after_a_retroactive_change_gives_the_answer_that_was_given(tenant: Tenant) -> None:
    evaluation = validate(tenant, **LATE)
    before = tenant.events()
    tenant.edit(past_change())
    published = tenant.published()
    path = f"/v1/evaluations/{evaluation['evaluation_id']}"
    assert tenant["ehr"].get(path).json() == evaluation
    reproduced = tenant["auditor"].post(f"{path}/replay", json={"mode": "reproduce"}).json()
    assert (reproduced["verdict"], reproduced["catalog_epoch"], reproduced["difference"]) == (
        "reproduced",
        evaluation["pins"]["catalog_epoch"],
        None,
    )
    now = tenant["auditor"].post(f"{path}/replay", json={"mode": "as_known_now"}).json()
    assert (now["verdict"], now["reason"], now["catalog_epoch"]) == ("diverged", "rules_changed", published["catalog_epoch"])
    assert [one["code"] for one in now["difference"]["findings_added"]] == ["tf.expired"]
    assert [one["code"] for one in now["difference"]["findings_removed"]] == ["tf.at_risk"]
    then = tenant["auditor"].post(f"{path}/replay", json={"mode": "as_known_at", "known_at": evaluation["evaluated_at"]}).json()
    assert then["verdict"] == "reproduced"
    assert before == []
    assert len(tenant.events(action="evaluation.replayed")) == 3
    refused(tenant["auditor"].post(f"{path}/replay", json={"mode": "as_known_at"}), 400, "bad-request")
