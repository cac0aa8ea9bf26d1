"""After `201 published`, no worker of any process answers with the older epoch, however many claims are on their way."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.builders import claim_bytes
from tests.support.governance import RULE_SET, new_tenant, past_change
from tests.support.server import prepare, running

JSON = {"Content-Type": "application/json"}
LATE = claim_bytes(lines=[{"service_from": "2026-10-15", "service_through": "2026-10-15"}], received_at="2026-12-20T10:00:00-05:00")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_claim_sent_after_the_answer_is_judged_by_what_was_live_before(
    dialect: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(dialect)
    with running(url, prepare(url), tmp_path / "data", workers=3) as server:
        tenant = new_tenant(server)
        tenant.edit(past_change())
        request = tenant.approved()
        answers: list[tuple[float, int, str]] = []
        faults: list[str] = []
        stop = threading.Event()

        def hammer() -> None:
            with httpx.Client(base_url=server.base_url, headers={**tenant["ehr"].headers, **JSON}, timeout=60, trust_env=False) as client:
                while not stop.is_set():
                    sent = time.monotonic()
                    answer = client.post("/v1/claims/validate", content=LATE)
                    if answer.status_code != 200:
                        faults.append(answer.text)
                        continue
                    evaluation = answer.json()
                    answers.append((sent, evaluation["pins"]["catalog_epoch"], evaluation["findings"][0]["code"]))

        threads = [threading.Thread(target=hammer) for _ in range(8)]
        for thread in threads:
            thread.start()
        published: list[tuple[float, int, str]] = []
        try:
            time.sleep(0.5)
            done = tenant.act("publisher", request, "publication")
            assert done.status_code == 201, done.text
            published.append((time.monotonic(), done.json()["catalog_epoch"], "tf.expired"))
            for number, code in ((1, "tf.at_risk"), (2, "tf.expired"), (1, "tf.at_risk")):
                time.sleep(0.5)
                done = tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": number, "reason": "Back and forth"})
                assert done.status_code == 201, done.text
                published.append((time.monotonic(), done.json()["catalog_epoch"], code))
            time.sleep(0.5)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not faults
    by_epoch = {epoch: code for _, epoch, code in published}
    checked = 0
    for sent, epoch, code in answers:
        known = [one for moment, one, _ in published if moment <= sent]
        assert epoch >= max(known, default=0), "a claim sent after a publication was judged by what was live before"
        if epoch in by_epoch:
            assert code == by_epoch[epoch]
            checked += 1
    assert checked > 50
