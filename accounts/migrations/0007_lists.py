"""Indexes for lists at 100,000 mailboxes: by state and age, the numbers of domains and of flags."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_app_passwords'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(fields=['kind', 'mailbox', 'exempt_at', 'exempt_until', 'suspends_at'], name='flag_kind_standing'),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(fields=['state', 'id'], name='mailbox_state_id'),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(fields=['domain', 'state'], name='mailbox_domain_state'),
        ),
    ]
