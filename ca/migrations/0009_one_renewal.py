"""A certificate is renewed by one order at a time."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ("ca", "0008_batch_parts"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(
                condition=Q(state__in=["requested", "awaiting_csr", "signing"]),
                fields=("renews",),
                name="ca_order_one_renewal_at_a_time",
            ),
        ),
    ]
