"""The database: one code path for SQLite and PostgreSQL. Tables never leave this package."""
