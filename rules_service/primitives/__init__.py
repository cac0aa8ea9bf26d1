"""Errors, dates, money and code shapes: what every other package may lean on, and which leans on none."""
