from django.db import migrations, models

from inngest_django.models import fields


class Migration(migrations.Migration):
    dependencies = [("inngest_django", "0004_fit_indexes")]
    operations = [
        migrations.CreateModel(
            name="Schedule",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("function_id", models.TextField()),
                ("cron", models.TextField(help_text="As the function declares it, with its zone.")),
                ("jitter", models.TextField(blank=True, default="")),
                ("next_at", fields.MomentField(help_text="The next time that the schedule names.")),
                ("fires_at", fields.MomentField()),
                (
                    "last_at",
                    fields.MomentField(
                        blank=True, help_text="The last time that was released.", null=True
                    ),
                ),
                ("registered_at", fields.MomentField()),
            ],
            options={
                "db_table": "inngest_schedule",
                "constraints": [
                    models.UniqueConstraint(
                        fields=["function_id", "cron"], name="inngest_schedule_of_function"
                    )
                ],
                "indexes": [models.Index(fields=["fires_at"], name="inngest_schedule_due")],
            },
        )
    ]
