"""Typed client of the service: `RulesClient` and `AsyncRulesClient` over httpx, the same calls, answers and errors.

with RulesClient("https://rules.example.org", api_key) as client:
    evaluation = client.validate(claim)
    for finding in evaluation.findings:
        print(finding.code, finding.message)
"""

from rules_service.client.answers import ClaimResult, EvaluationSummary, Job, JobResult, ServiceError
from rules_service.client.asynchronous import AsyncRulesClient
from rules_service.client.synchronous import RulesClient

__all__ = ["AsyncRulesClient", "ClaimResult", "EvaluationSummary", "Job", "JobResult", "RulesClient", "ServiceError"]
