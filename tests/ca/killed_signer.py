"""A signer that is killed (SIGKILL) at a step, with a database in a file; run by `test_ways`.

    python -m tests.ca.killed_signer        prints one line of JSON a step: what the rows say then

Each signer is a child process that ends itself in the middle; the rows are read by the parent.
"""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

STEPS = [
    ("keystore", "load"),
    ("issuance", "check"),
    ("parcels", "pack"),
    ("issuance", "store"),
    ("parcels", "store"),
    ("audit", "record"),
]


def main() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "mailadmin.settings"
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from ca import issuance, keystore, parcels, tasks
    from ca.models import Certificate, Order, Parcel
    from core import audit, nudge, seal
    from core.models import AuditEvent
    from tests.ca.conftest import make

    keystore.PASSES, keystore.MEMORY_KIB = 1, 64
    nudge.send = lambda task, pk: None
    call_command("migrate", verbosity=0)
    data = Path(os.environ["MAILADMIN_DATA"])
    seal.ensure_keys(data)
    seal.load("all", data)
    issuer = make(None, timezone.now()).made
    assert issuer is not None
    modules = {"keystore": keystore, "issuance": issuance, "parcels": parcels, "audit": audit}

    def ask() -> Order:
        return issuance.request(
            profile="host",
            names=["mail1.example.test"],
            issuer=issuer,
            key_algorithm="p256",
            parcel_form="p12",
            passphrase="violet tram 93 harbour",
            by=None,
            at=timezone.now(),
        )

    def killed(order: Order, module: Any, step: str) -> int:
        """The signal that ended the child which signs `order`, once it has done `step`."""
        connection.close()
        pid = os.fork()
        if pid == 0:
            real = getattr(module, step)

            def dies(*args: Any, **options: Any) -> None:
                real(*args, **options)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(module, step, dies)
            tasks.sign_order(order.pk)
            os._exit(0)
        _pid, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    for module, step in STEPS:
        before = Certificate.objects.count()
        order = ask()
        ended_by = killed(order, modules[module], step)
        order.refresh_from_db()
        said = {
            "step": step,
            "signal": ended_by,
            "state": order.state,
            "certificates": Certificate.objects.count() - before,
            "parcels": Parcel.objects.filter(order=order).count(),
            "issued": AuditEvent.objects.filter(
                action="ca.certificate.issued", detail__order=order.pk
            ).count(),
        }
        Order.objects.filter(pk=order.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        tasks.sign_order(order.pk)
        order.refresh_from_db()
        said["then"] = order.state
        said["certificates_then"] = Certificate.objects.count() - before
        said["parcels_then"] = Parcel.objects.filter(order=order).count()
        sys.stdout.write(json.dumps(said) + "\n")
    serials = list(Certificate.objects.filter(issuer=issuer).values_list("serial", flat=True))
    sys.stdout.write(json.dumps({"serials": serials}) + "\n")


if __name__ == "__main__":
    main()
