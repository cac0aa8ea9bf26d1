"""How policy changes: the lifecycle of a change request, the audit chain, the difference between two manifests. Pure."""
