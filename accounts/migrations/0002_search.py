"""One column to search in, and its index; rows that are there already are filled in."""

from typing import Any

from django.db import migrations, models

CHUNK = 500


def fill(apps: Any, schema_editor: Any) -> None:
    Mailbox = apps.get_model("accounts", "Mailbox")
    rows = Mailbox.objects.only("address", "display_name", "owner_contact")
    chunk: list[Any] = []
    for row in rows.iterator(chunk_size=CHUNK):
        texts = (row.address, row.display_name, row.owner_contact)
        row.search_text = " ".join(text for text in texts if text).casefold()[:500]
        chunk.append(row)
        if len(chunk) == CHUNK:
            Mailbox.objects.bulk_update(chunk, ["search_text"])
            chunk = []
    Mailbox.objects.bulk_update(chunk, ["search_text"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="mailbox", name="mailbox_created"),
        migrations.AddField(
            model_name="mailbox",
            name="search_text",
            field=models.CharField(blank=True, default="", editable=False, max_length=500),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="mailbox",
            index=models.Index(fields=["address", "search_text"], name="mailbox_search"),
        ),
    ]
