from django.db import migrations, models

_TABLES = ("inngest_attempt", "inngest_event", "inngest_job", "inngest_run", "inngest_wait")


def drop_pattern_indexes(apps, schema_editor):
    """Django gives each key of text an index for LIKE; nobody searches for part of a ULID."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_opclass o ON o.oid = ANY(i.indclass) WHERE o.opcname = 'varchar_pattern_ops'"
            " AND i.indrelid IN (SELECT to_regclass(t.name) FROM unnest(%s::text[]) AS t (name))",
            [list(_TABLES)],
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [("inngest_django", "0003_prunings")]
    operations = [
        migrations.RunPython(drop_pattern_indexes, migrations.RunPython.noop),
        migrations.RemoveIndex(model_name="job", name="inngest_job_lease"),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(fields=["run", "revision"], name="inngest_step_revision"),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("mode", "race")), fields=["run"], name="inngest_step_race"
            ),
        ),
    ]
