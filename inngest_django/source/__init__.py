"""Reads the source of durable functions: which steps they call, and what they do between them."""
