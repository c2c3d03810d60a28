"""How PostgreSQL is to plan the statements about many rows at once."""

from __future__ import annotations

# For the transaction. The planner takes a list for hundreds of rows, or for none while a table
# is new, and would read a table whole to find one row. And it would plan a list anew each
# time, which takes longer than doing what the statement says.
BY_INDEX = ", ".join(
    f"set_config('{name}', '{value}', true)"
    for name, value in (
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    )
)
