"""The canonical claim: one frozen structure whatever format it came in, and where each value stands in it."""
