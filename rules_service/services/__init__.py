"""Use cases, one a file. They open the transactions and read the clock; nothing below them does."""
