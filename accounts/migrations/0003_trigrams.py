"""An index of parts of addresses, names and owners."""

from django.db import migrations

from core.search import MakeTextIndex, TextIndex


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_search")]

    operations = [MakeTextIndex(TextIndex(table="accounts_mailbox", column="search_text"))]
