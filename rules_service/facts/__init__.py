"""Typed, three-valued, flat facts about a claim. Facts do the joins, the look-ups and the arithmetic."""
