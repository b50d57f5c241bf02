"""Since when a domain is on its host; and a field that nothing came to use."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='domain',
            name='host_since',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RemoveField(
            model_name='mailbox',
            name='must_change_password',
        ),
    ]
