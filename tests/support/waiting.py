"""Waiting for what a server does on its own."""

from __future__ import annotations

import time
from typing import Any

import httpx


def ended(client: httpx.Client, job: dict[str, Any], seconds: float = 90) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = client.get(f"/v1/jobs/{job['job_id']}")
        assert found.status_code == 200, found.text
        if found.json()["state"] in ("succeeded", "failed", "cancelled"):
            return found.json()
        time.sleep(0.1)
    raise AssertionError(f"the job has not ended: {found.text}")


def results(client: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a job's results."""
    answer = client.get(f"/v1/jobs/{job['job_id']}/results")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [httpx.Response(200, content=line).json() for line in answer.content.splitlines()]
