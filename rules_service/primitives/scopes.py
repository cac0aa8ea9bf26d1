"""Scopes and the roles that bundle them."""

from __future__ import annotations

SCOPES: dict[str, str] = {
    "claims:validate": "Validate claims and read the capabilities",
    "evaluations:read": "Read stored evaluations, their explanations and waivers, and search for them",
    "evaluations:read_input": "Read the stored claim of an evaluation (PHI); each read is an audit event",
    "evaluations:erase": "Erase stored claims, place and release legal holds",
    "waivers:write": "Waive findings of one claim, and end waivers",
    "waivers:standing": "Waive a code for a payer and billing provider",
    "rules:read": "Read payers, rule sets, publications, kinds and facts",
    "reference:read": "Read reference-table editions",
    "reference:write": "Load reference-table editions",
    "rules:write": "Edit drafts, run their checks, open and withdraw change requests",
    "rules:review": "Review change requests of others",
    "rules:publish": "Publish approved change requests, schedule them, roll back",
    "rules:publish_retroactive": "Publish windows that begin in the past",
    "rules:emergency": "Switch a rule off or lower its severity at once, for seven days",
    "audit:read": "Read the audit log and the history of rules",
    "audit:verify": "Verify the audit log and replay evaluations",
    "jobs:read": "See jobs and what they came to: one's own, or with rules:read all",
    "jobs:cancel": "Cancel jobs",
    "webhooks:manage": "Manage webhook endpoints, see what was sent to them and send it again",
    "metrics:read": "Read metrics",
}
ROLES: dict[str, tuple[str, ...]] = {
    "ehr_client": ("claims:validate", "evaluations:read", "waivers:write", "jobs:read", "jobs:cancel"),
    "rule_author": ("rules:read", "rules:write", "reference:read", "evaluations:read", "claims:validate", "jobs:read", "jobs:cancel"),
    "reviewer": ("rules:read", "rules:review", "reference:read", "evaluations:read", "jobs:read"),
    "publisher": (
        "rules:read",
        "rules:publish",
        "rules:publish_retroactive",
        "rules:emergency",
        "waivers:write",
        "waivers:standing",
        "evaluations:read",
        "reference:read",
        "reference:write",
        "jobs:read",
        "jobs:cancel",
    ),
    "auditor": ("rules:read", "reference:read", "evaluations:read", "audit:read", "audit:verify", "jobs:read"),
    "operator": (
        "evaluations:erase",
        "audit:read",
        "webhooks:manage",
        "metrics:read",
        "reference:read",
        "reference:write",
        "rules:read",
        "jobs:read",
        "jobs:cancel",
    ),
}
"""Scopes by role. An auditor reads everything and changes nothing. Author and publisher may be one person; author and reviewer
of one change may not, which the database holds."""
