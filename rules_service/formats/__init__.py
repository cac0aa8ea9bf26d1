"""Readers: bytes to claims, nothing else. They know no rule."""
