"""How PostgreSQL is to plan and commit.

A prepared statement is planned once for a connection, maybe while the tables are empty.
"""

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

# For a transaction of its own that is harmless to lose when the server dies: it does not wait
# for the disk. The next one that does, an outcome, takes it along.
LAZILY = "set_config('synchronous_commit', 'off', true)"


def by_no_index(column: str) -> str:
    """Return a text column as SQL that no index on it answers: rows are found by the rest.

    Where an index of open or live rows is nearly empty, reading all of it looks cheaper than
    finding those of one run. The plan is kept, and later there are a million.
    """
    return f"({column} || '')"
