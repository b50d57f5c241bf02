"""The life of an account: expiry, last use, flags, imports, erasures; what a domain allows."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.search import MakeTextIndex, TextIndex


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_trigrams'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('claimed_by', models.CharField(blank=True, editable=False, max_length=120)),
                ('lease_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('fence', models.PositiveBigIntegerField(default=0, editable=False)),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='running', max_length=9)),
                ('dry_run', models.BooleanField(default=True)),
                ('name', models.CharField(blank=True, default='', max_length=200)),
                ('sha256', models.CharField(blank=True, default='', max_length=64)),
                ('choices', models.JSONField(default=dict)),
                ('asked_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('created', models.PositiveIntegerField(default=0)),
                ('updated', models.PositiveIntegerField(default=0)),
                ('unchanged', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('cancel_asked', models.BooleanField(default=False)),
                ('problem', models.CharField(blank=True, default='', max_length=40)),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('claimed_by', models.CharField(blank=True, editable=False, max_length=120)),
                ('lease_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('fence', models.PositiveBigIntegerField(default=0, editable=False)),
                ('address', models.CharField(max_length=318)),
                ('host', models.CharField(blank=True, default='', max_length=36)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done')], default='waiting', max_length=7)),
                ('asked_at', models.DateTimeField()),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('retry_at', models.DateTimeField(blank=True, null=True)),
                ('problem', models.CharField(blank=True, default='', max_length=2000)),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=36)),
                ('protocol', models.CharField(choices=[('imap', 'imap'), ('pop3', 'pop3'), ('smtp', 'smtp')], max_length=4)),
                ('since', models.DateTimeField()),
                ('through', models.DateTimeField()),
                ('cursor', models.CharField(blank=True, default='', max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name='Flag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('weak', 'Weak password'), ('test_named', 'Named like a test'), ('never_used', 'Never used'), ('dormant', 'Not used for long'), ('sends_only', 'Only sends, never reads'), ('expired', 'Expired'), ('no_owner', 'Nobody looks after it')], max_length=10)),
                ('since', models.DateTimeField()),
                ('found_at', models.DateTimeField()),
                ('evidence', models.JSONField(default=dict)),
                ('sure', models.CharField(default='certain', max_length=7)),
                ('risk', models.PositiveSmallIntegerField(default=1)),
                ('exempt_at', models.DateTimeField(blank=True, null=True)),
                ('exempt_until', models.DateTimeField(blank=True, null=True)),
                ('exempt_reason', models.CharField(blank=True, default='', max_length=500)),
            ],
            options={
                'ordering': ['-risk', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='ImportOutcome',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('line', models.PositiveIntegerField()),
                ('address', models.CharField(blank=True, default='', max_length=400)),
                ('outcome', models.CharField(max_length=9)),
                ('reasons', models.JSONField(default=list)),
            ],
            options={
                'ordering': ['line'],
            },
        ),
        migrations.CreateModel(
            name='ImportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first', models.PositiveIntegerField()),
                ('rows', models.BinaryField()),
            ],
            options={
                'ordering': ['first'],
            },
        ),
        migrations.CreateModel(
            name='LastUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('protocol', models.CharField(choices=[('imap', 'imap'), ('pop3', 'pop3'), ('smtp', 'smtp')], max_length=4)),
                ('at', models.DateTimeField()),
                ('address', models.CharField(blank=True, default='', max_length=45)),
            ],
        ),
        migrations.CreateModel(
            name='WeaknessAudit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('claimed_by', models.CharField(blank=True, editable=False, max_length=120)),
                ('lease_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('fence', models.PositiveBigIntegerField(default=0, editable=False)),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('stopped', 'Stopped')], default='running', max_length=7)),
                ('asked_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('total', models.PositiveIntegerField(default=0)),
                ('looked_at', models.PositiveIntegerField(default=0)),
                ('found', models.PositiveIntegerField(default=0)),
                ('after', models.PositiveBigIntegerField(default=0)),
                ('round', models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='WeaknessVerdict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64)),
                ('reason', models.CharField(blank=True, default='', max_length=40)),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='alias',
            name='expires_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alias',
            name='revision',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='domain',
            name='least_length',
            field=models.PositiveSmallIntegerField(default=12),
        ),
        migrations.AddField(
            model_name='domain',
            name='least_score',
            field=models.PositiveSmallIntegerField(default=3),
        ),
        migrations.AddField(
            model_name='domain',
            name='most_mailboxes',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='domain',
            name='most_quota_mb',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='domain',
            name='password_rule',
            field=models.CharField(choices=[('strong', '12 characters, hard to guess'), ('long', '15 characters, anything'), ('own', 'Own numbers')], default='strong', max_length=6),
        ),
        migrations.AddField(
            model_name='domain',
            name='quota_mb',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='domain',
            name='revision',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='expires_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='kept_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='last_used_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mailbox',
            name='must_change_password',
            field=models.BooleanField(default=False),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='mailbox_expires'),
        ),
        migrations.AddIndex(
            model_name='mailbox',
            index=models.Index(condition=models.Q(('kept_until__isnull', False)), fields=['kept_until'], name='mailbox_kept_until'),
        ),
        migrations.AddField(
            model_name='accountimport',
            name='asked_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='evidence',
            constraint=models.UniqueConstraint(fields=('host', 'protocol'), name='evidence_once'),
        ),
        migrations.AddField(
            model_name='flag',
            name='exempt_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='flag',
            name='mailbox',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flags', to='accounts.mailbox'),
        ),
        migrations.AddField(
            model_name='importoutcome',
            name='batch',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outcomes', to='accounts.accountimport'),
        ),
        migrations.AddField(
            model_name='importpart',
            name='batch',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='accounts.accountimport'),
        ),
        migrations.AddField(
            model_name='lastuse',
            name='mailbox',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uses', to='accounts.mailbox'),
        ),
        migrations.AddField(
            model_name='weaknessaudit',
            name='asked_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='weaknessverdict',
            name='mailbox',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.mailbox'),
        ),
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(fields=['kind', '-risk', 'id'], name='flag_kind_risk'),
        ),
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(fields=['-risk', 'id'], name='flag_risk'),
        ),
        migrations.AddConstraint(
            model_name='flag',
            constraint=models.UniqueConstraint(fields=('mailbox', 'kind'), name='flag_once'),
        ),
        migrations.AddIndex(
            model_name='importoutcome',
            index=models.Index(fields=['batch', 'outcome', 'line'], name='outcome_of_batch'),
        ),
        migrations.AddConstraint(
            model_name='importpart',
            constraint=models.UniqueConstraint(fields=('batch', 'first'), name='import_part_once'),
        ),
        migrations.AddConstraint(
            model_name='lastuse',
            constraint=models.UniqueConstraint(fields=('mailbox', 'protocol'), name='use_once'),
        ),
        # SQLite makes the table anew for a column, and its triggers go with the old one.
        MakeTextIndex(TextIndex(table="accounts_mailbox", column="search_text")),
    ]
