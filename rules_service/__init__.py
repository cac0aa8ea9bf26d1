"""Payer rules service: why a payer would deny a claim, before it is sent."""

__version__ = "0.1.0"
