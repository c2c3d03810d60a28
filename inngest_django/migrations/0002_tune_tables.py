from django.db import migrations


def tune(apps, schema_editor):
    """Rows of these two live for seconds: leave room for updates, and clean up early."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(
        "ALTER TABLE inngest_job SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,"
        " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
    )
    schema_editor.execute("ALTER TABLE inngest_counter SET (fillfactor = 10)")
    schema_editor.execute("ALTER TABLE inngest_run SET (fillfactor = 85)")


class Migration(migrations.Migration):
    dependencies = [("inngest_django", "0001_initial")]
    operations = [migrations.RunPython(tune, migrations.RunPython.noop)]
