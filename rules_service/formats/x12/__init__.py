"""ASC X12: delimiters and envelopes, and the 837P reader."""
