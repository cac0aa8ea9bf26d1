"""ASC X12: delimiters and envelopes, and the readers of the 837 guides."""
