"""Look-ups over reference-table editions. Readers work on bytes handed to them (usually a memory map); they open nothing."""
