"""Measurements: `make bench`. Everything is measured side by side in one run; read the ratios, not the absolute figures."""
