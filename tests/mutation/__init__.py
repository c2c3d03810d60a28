"""Mutation testing of the pure modules: what the unit tests would not notice."""
