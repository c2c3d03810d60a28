"""The state machine, and the only writer of the tables."""
