"""A small shop whose durable functions are the examples of the documentation."""
