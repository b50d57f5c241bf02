"""Finding: an index of parts of names, and the texts it needs in rows that are there already."""

import idna
from django.db import migrations, models

from core.search import MakeTextIndex, TextIndex

CHUNK = 500


def shown(name: str) -> str:
    try:
        return str(idna.decode(name))
    except (idna.IDNAError, UnicodeError):
        return ""


def fill(apps, schema_editor):
    """A space before each part, and letters beyond ASCII three times over (`ca.sought`)."""
    Certificate = apps.get_model("ca", "Certificate")
    rows = []
    for row in Certificate.objects.only("names", "search").iterator(chunk_size=CHUNK):
        own = [shown(name) for name in row.names if "xn--" in name]
        text = f" {row.search.strip()}"
        runs = "".join(letter if not letter.isascii() else " " for letter in " ".join([text, *own]))
        spread = dict.fromkeys("".join(each * 3 for each in run) for run in runs.split())
        row.search = "".join([text, *(f" {run}" for run in spread)])
        rows.append(row)
        if len(rows) == CHUNK:
            Certificate.objects.bulk_update(rows, ["search"])
            rows = []
    Certificate.objects.bulk_update(rows, ["search"])


class Migration(migrations.Migration):
    dependencies = [("ca", "0005_delta_lists")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(fields=["profile", "not_after", "id"], name="ca_cert_by_profile"),
        ),
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(fields=["serial"], name="ca_cert_by_serial"),
        ),
        MakeTextIndex(
            TextIndex(
                table="ca_certificate",
                column="search",
                place="((max(0, min(CAST(strftime('%s', {row}.not_after) AS INTEGER), 8589934591))"
                " << 30) | {row}.id)",
            )
        ),
    ]
