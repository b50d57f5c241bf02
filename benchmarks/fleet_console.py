"""The console's half of `benchmarks.fleet`, inside a running console's data folder.

The verbs are called here, the console's own workers do the work. Two calls, because in between the
hosts are told the console's keys:

    add(address, count)      → {"mail1.fleet.test": "ssh-ed25519 AAAA…", …}
    measure(mailboxes, {"console": pid, "hosts": pid, "daemons": pid})
                             → {"first": {…}, "change": {…}}, see `_put_live`
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.utils import timezone

from benchmarks import first_light
from benchmarks.fleet_host import DOMAIN
from benchmarks.live_host import issuer as make_issuer
from benchmarks.live_host import until

PHASES = ("stage", "accounts", "validate", "login", "switch", "probe", "confirm")


def add(address: str, count: int) -> None:
    from core.models import Operator
    from deploy import enrolment
    from deploy.models import Host

    owner = Operator.objects.create_user(username="bench", password="not used 1234", role="owner")
    for number in range(1, count + 1):
        enrolment.add(
            fqdn=f"mail{number}.{DOMAIN}",
            address=address,
            ssh_port=22,
            by=owner,
            at=timezone.now(),
        )
    until(lambda: Host.objects.exclude(offered_host_key="").count() == count)
    _tell(dict(Host.objects.values_list("fqdn", "ssh_public_key")))


def measure(mailboxes: int, roots: dict[str, int]) -> None:
    from core.models import Operator
    from deploy import certificates, enrolment
    from deploy import transport as ssh
    from deploy.models import Host

    owner = Operator.objects.get(username="bench")
    for host in Host.objects.all():
        shown = ssh.fingerprint(host.offered_host_key)
        enrolment.confirm_key(host=host, offered=shown, by=owner, at=timezone.now())
        enrolment.ask_check(host=host, by=owner, at=timezone.now())
    until(lambda: not Host.objects.filter(state=Host.ENROLLING).exists())
    issuer = make_issuer(owner, DOMAIN)
    for host in Host.objects.all():
        certificates.ask(host=host, issuer=issuer, by=owner, at=timezone.now())
    until(lambda: not Host.objects.filter(certificate=None).exists())
    _accounts(mailboxes)
    first = _put_live(owner, roots)
    Host.objects.update(message_size_mb=60)
    _tell({"first": first, "change": _put_live(owner, roots)})


def _tell(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


def _accounts(mailboxes: int) -> None:
    """The rows that the verb would write, without hashing the same password again and again."""
    from accounts.hashing import hash_password
    from accounts.models import Domain, Mailbox
    from deploy.models import Host

    now, hashed = timezone.now(), hash_password("kapim4-tovuz7-relof2-dasik9")
    for host in Host.objects.all():
        name = f"customers.{host.fqdn}"
        domain = Domain.objects.create(name=name, host=str(host.uuid), created_at=now)
        Mailbox.objects.bulk_create(
            Mailbox(
                domain=domain,
                local_part=f"u{number:04}",
                address=f"u{number:04}@{name}",
                password=hashed,
                password_set_at=now,
                state_since=now,
                created_at=now,
            )
            for number in range(mailboxes)
        )


def _put_live(owner: Any, roots: dict[str, int]) -> dict[str, Any]:
    """From the request to the last host's end: seconds, medians in ms, what went wrong."""
    from deploy import rollout
    from deploy.models import Host, HostRollout, RolloutStep

    before, began = {name: _worked(pid) for name, pid in roots.items()}, time.perf_counter()
    made = rollout.request(hosts=list(Host.objects.all()), by=owner, at=timezone.now())
    asked = time.perf_counter() - began
    until(lambda: not made.hosts.filter(state__in=HostRollout.OPEN).exists())
    took = time.perf_counter() - began
    worked = {name: _worked(pid) - before[name] for name, pid in roots.items()}
    spent = defaultdict(list)
    for name, ms in RolloutStep.objects.filter(
        host_rollout__rollout=made, name__in=PHASES
    ).values_list("name", "ms"):
        spent[name].append(ms or 0)
    rows = list(made.hosts.all())
    failed = [f"{row.host}: {row.state} {row.problem} {row.problem_detail}" for row in rows
              if row.state != row.CONFIRMED]  # fmt: skip
    return {
        "hosts": len(rows),
        "asked": asked,
        "took": took,
        "worked": {name: seconds / len(rows) for name, seconds in worked.items()},
        "host": statistics.median(row.seconds or 0 for row in rows),
        "phases": {name: statistics.median(spent[name]) for name in PHASES if spent[name]},
        "failed": failed,
    }


def _worked(root: int) -> float:
    """Seconds of processor time of a process, of all below it, and of those that have ended."""
    ticks = 0
    for pid in first_light.tree(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
