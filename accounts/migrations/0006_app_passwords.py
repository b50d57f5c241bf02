"""App passwords, the policy about flags, what mail takes, and lists by last use."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_invitations'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AppPassword',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('selector', models.CharField(max_length=8, unique=True)),
                ('password', models.CharField(max_length=255)),
                ('imap', models.BooleanField(default=False)),
                ('pop3', models.BooleanField(default=False)),
                ('sending', models.BooleanField(default=False)),
                ('made_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='FlagPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('on', models.BooleanField(default=False)),
                ('kinds', models.JSONField(default=list)),
                ('notice_days', models.PositiveSmallIntegerField(default=14)),
                ('changed_at', models.DateTimeField()),
                ('revision', models.PositiveIntegerField(default=1)),
            ],
        ),
        migrations.AddField(
            model_name='flag',
            name='suspends_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='used_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='used_bytes',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(condition=models.Q(('suspends_at__isnull', False)), fields=['suspends_at'], name='flag_suspends'),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(fields=['last_used_at', 'id'], name='mailbox_last_used'),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(fields=['domain', 'last_used_at', 'id'], name='mailbox_domain_last_used'),
        ),
        migrations.AddField(
            model_name='apppassword',
            name='made_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='apppassword',
            name='mailbox',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='app_passwords', to='accounts.mailbox'),
        ),
        migrations.AddField(
            model_name='flagpolicy',
            name='changed_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='apppassword',
            constraint=models.CheckConstraint(condition=models.Q(('imap', True), ('pop3', True), ('sending', True), _connector='OR'), name='app_password_for_something'),
        ),
    ]
