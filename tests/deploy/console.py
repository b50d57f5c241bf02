"""A console with a host, made by a process of its own: for the tests of commands.

    python -m tests.deploy.console      # in the data folder MAILADMIN_DATA

mail3.example.test and mail5.example.test are ready and have a certificate; nothing answers at their
address.
"""

import os


def make() -> None:
    from django.core.management import call_command
    from django.utils import timezone

    from ca import issuance, keystore, tasks
    from ca.models import Order
    from core import nudge
    from core.models import Operator
    from deploy import enrolment
    from deploy.models import Host
    from tests.deploy.conftest import FACTS, HOST_KEY, csr_for
    from tests.live.rollouts import make_issuer, run_signer

    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    nudge.send = run_signer  # type: ignore[assignment]
    keystore.PASSES, keystore.MEMORY_KIB = 1, 64
    for role in ("owner", "administrator", "auditor", "helpdesk"):
        Operator.objects.create_user(username=role, role=role)
    owner = Operator.objects.get(username="owner")
    now = timezone.now()
    name = "mail3.example.test"
    order = issuance.request(
        profile="host",
        names=[name],
        issuer=make_issuer(owner),
        csr_pem=csr_for(name),
        by=owner,
        at=now,
    )
    tasks.sign_order(order.pk)
    certificate = Order.objects.get(pk=order.pk).certificate
    for fqdn in (name, "mail5.example.test"):
        host = enrolment.add(fqdn=fqdn, address="127.0.0.1", ssh_port=9, by=owner, at=now)
        host.jobs.all().delete()
        enrolment.give_key(host)
        Host.objects.filter(pk=host.pk).update(
            state=Host.READY,
            host_key=HOST_KEY,
            facts={**FACTS, "hostname": fqdn, "drift": ["/etc/mail/sendmail.cf"]},
            facts_at=now,
            certificate=certificate,
        )


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from django.conf import settings

    from core import seal

    seal.ensure_keys(settings.DATA_DIR)
    seal.load("all", settings.DATA_DIR)
    django.setup()
    make()
