"""Rule packs on disk: read, check, format, lock, test and document the files in `payer_rules/`."""
