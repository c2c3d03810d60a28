"""What PostgreSQL keeps and checks for each row of the tables that steps write."""

from __future__ import annotations

import pytest
from django.db import connection

# A step writes these, a few times each.
WRITTEN = ["inngest_run", "inngest_step", "inngest_job"]


@pytest.mark.postgres
@pytest.mark.django_db
def test_no_check_is_compiled_for_each_statement() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'c' AND conrelid::regclass::text = ANY(%s)",
            [WRITTEN],
        )
        assert cursor.fetchall() == []


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "index"),
    [("parent_id", "inngest_run_parent"), ("original_run_id", "inngest_run_original")],
)
def test_a_run_without_relations_is_in_no_index_of_them(column: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_expr(i.indpred, i.indrelid) FROM pg_index i JOIN pg_attribute a"
            " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = 'inngest_run'::regclass AND a.attname = %s",
            [column],
        )
        assert cursor.fetchall() == [(f"({column} IS NOT NULL)",)]
        # What a foreign key asks when the row that it points to goes.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT 1 FROM inngest_run WHERE {column} = '7' FOR KEY SHARE")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        assert index in plan
        assert "Seq Scan" not in plan
