"""Five roles where there were three; the domains of those who have some."""

from django.db import migrations, models

RENAMED = {"operator": "administrator", "viewer": "auditor"}


def rename(apps, schema_editor):
    for old, new in RENAMED.items():
        apps.get_model("core", "Operator").objects.filter(role=old).update(role=new)


class Migration(migrations.Migration):
    dependencies = [("core", "0002_cache_table")]

    operations = [
        migrations.AddField(
            model_name="operator",
            name="domains",
            field=models.JSONField(blank=True, default=list, verbose_name="domains"),
        ),
        migrations.AlterField(
            model_name="operator",
            name="role",
            field=models.CharField(
                choices=[
                    ("owner", "Owner"),
                    ("administrator", "Administrator"),
                    ("domain_manager", "Domain manager"),
                    ("helpdesk", "Helpdesk"),
                    ("auditor", "Auditor"),
                ],
                default="auditor",
                max_length=14,
                verbose_name="role",
            ),
        ),
        migrations.RunPython(rename, migrations.RunPython.noop),
    ]
