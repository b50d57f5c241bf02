"""A worker as a process of its own, so that a test can kill it.

    python -m tests.live.worker prepare DIRECTORY    # a console with DIRECTORY's host live on 1
    python -m tests.live.worker ask 30               # → the pk of a rollout of another message size
    python -m tests.live.worker carry 2              # what the task does
    python -m tests.live.worker facts                # → what the host says

The console's data are in MAILADMIN_DATA, as always.
"""

import json
import os
import sys


def prepare(directory: str) -> object:
    from django.core.management import call_command

    from ca import keystore
    from core import nudge
    from core.models import Operator
    from deploy.practice import Machine
    from tests.live.rollouts import Console, enrol, make_issuer, run_signer

    call_command("migrate", verbosity=0)
    nudge.send = run_signer  # type: ignore[assignment]
    keystore.PASSES, keystore.MEMORY_KIB = 1, 64
    owner = Operator.objects.create_user(username="owner", role="owner")
    machine = Machine(directory)
    console = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    console.certify()
    return console.put_live().state


def ask(megabytes: str) -> object:
    from django.utils import timezone

    from core import nudge
    from deploy import configure, rollout
    from deploy.models import Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    host = Host.objects.get()
    now = timezone.now()
    configure.change_settings(
        host=host,
        address=host.address,
        ssh_port=host.ssh_port,
        message_size_mb=int(megabytes),
        by=None,
        at=now,
    )
    return rollout.request(hosts=[host], by=None, at=now).hosts.get().pk


def carry(pk: str) -> object:
    from core import nudge
    from deploy import carriage
    from deploy.models import HostRollout

    nudge.send = lambda task, key: None  # type: ignore[assignment]
    carriage.carry_out(int(pk))
    return HostRollout.objects.get(pk=pk).state


def facts() -> object:
    from deploy.helper import Helper
    from deploy.models import Host

    with Helper.of(Host.objects.get()) as helper:
        return dict(helper.facts())


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from django.conf import settings

    from core import seal

    seal.ensure_keys(settings.DATA_DIR)
    seal.load("all", settings.DATA_DIR)
    django.setup()
    verb = {"prepare": prepare, "ask": ask, "carry": carry, "facts": facts}[sys.argv[1]]
    sys.stdout.write(json.dumps(verb(*sys.argv[2:]), default=str) + "\n")
