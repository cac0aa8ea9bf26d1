"""Compiles rule versions into sharded single-fact durable_rules and judges claims with them."""
