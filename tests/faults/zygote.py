"""The console's workers as processes of their own, made by one that has Django loaded and forks.

    python -m tests.faults.zygote          # jobs on standard input, answers on standard output

A job is a JSON line {"verb", "args", "at", "run"}; the answer {"status", "result", "points"}. While
the verb runs, each write to the database is a point, which has a name: the step it writes down, or
the table. At the point `at` (its number, or its name) the process runs the command `run`, or, where
there is none, ends by kill -9: what is at work on the host then goes on, and nobody notes it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tests.live import worker

STEPS = "deploy_rolloutstep"


def carry(pk: str, deadline: str = "") -> object:
    """What the task does, and how it ended for the worker: an exception is only logged there.

    `deadline`: seconds after which the host goes back by itself.
    """
    if deadline:
        from deploy import carriage

        carriage.DEADLINE_SECONDS = int(deadline)
    try:
        return worker.carry(pk)
    except Exception as error:  # noqa: BLE001 - the tests look what is left, whatever it was
        return type(error).__name__


def tick(seconds: str = "0") -> object:
    """The tick's turn, `seconds` from now, as if each lease had run out."""
    from datetime import timedelta

    from django.utils import timezone

    from core import nudge
    from deploy import carriage, due

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    clock = _clock_ahead(timedelta(seconds=int(seconds)))
    later = timezone.now() + timedelta(seconds=carriage.LEASE_SECONDS + 1)
    found = list(due.rollouts(max(clock(), later)).values_list("pk", flat=True))
    end_leases()
    for pk in found:
        carriage.carry_out(pk, carriage.Tools(clock=clock))
    return found


def _clock_ahead(by: Any) -> Callable[[], Any]:
    from django.utils import timezone

    return lambda: timezone.now() + by


def end_leases() -> None:
    """What twenty seconds do by themselves."""
    from datetime import timedelta

    from django.utils import timezone

    from deploy.models import AccountPush, HostRollout

    past = timezone.now() - timedelta(seconds=1)
    HostRollout.objects.exclude(lease_until=None).update(lease_until=past)
    HostRollout.objects.exclude(retry_at=None).update(retry_at=past)
    AccountPush.objects.exclude(lease_until=None).update(lease_until=past)


def report(pk: str) -> object:
    """How a rollout stands in the database."""
    from deploy.models import Generation, HostRollout, RolloutStep

    row = HostRollout.objects.get(pk=pk)
    live = Generation.objects.live().filter(host=row.host).first()
    return {
        "state": row.state,
        "problem": row.problem,
        "detail": row.problem_detail,
        "held": row.lease_until is not None,
        "live": live.number if live else None,
        "generation": row.generation.number,
        "under_way": list(
            RolloutStep.objects.filter(host_rollout=row, ok=None).values_list("name", flat=True)
        ),
        "steps": [
            f"{step.phase} {step.name} {step.ok} {step.detail[:200]}" for step in row.steps.all()
        ],
    }


def look() -> object:
    """→ the paths of what drifted, as its page would show them."""
    from django.utils import timezone

    from deploy import drift
    from deploy.helper import Helper
    from deploy.models import Host

    host = Host.objects.get()
    with Helper.of(host) as helper:
        drift.look(host, helper, clock=timezone.now)
    return list(Host.objects.get().reported().drift)


def overwrite() -> object:
    """One click on the plan's page, which shows what drifted → the rollout's pk."""
    from django.utils import timezone

    from core import nudge
    from deploy import rollout
    from deploy.models import Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    host = Host.objects.get()
    marks = [host.reported().drift_mark]
    made = rollout.request(hosts=[host], by=None, at=timezone.now(), overwrite=marks)
    return made.hosts.get().pk


def back_to(number: str) -> object:
    """An earlier generation, live again."""
    from django.utils import timezone

    from core import nudge
    from deploy import rollout
    from deploy.models import Generation, Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    host, to = Host.objects.get(), Generation.objects.get(number=number)
    made = rollout.request(hosts=[host], to=to, by=None, at=timezone.now())
    return worker.carry(str(made.hosts.get().pk))


def ask_silent(port: str) -> object:
    """Another host, at a port where nobody says anything → the pk of a rollout there."""
    from django.utils import timezone

    from core import nudge
    from deploy import enrolment, rollout
    from deploy.models import Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    known, now = Host.objects.get(), timezone.now()
    made = enrolment.add(
        fqdn="mail9.example.test", address="127.0.0.1", ssh_port=int(port), by=None, at=now
    )
    enrolment.give_key(made)
    Host.objects.filter(pk=made.pk).update(
        state=Host.READY,
        host_key=known.host_key,
        certificate=known.certificate,
        facts={**known.facts, "generation": None},
    )
    host = Host.objects.get(pk=made.pk)
    return rollout.request(hosts=[host], by=None, at=now).hosts.get().pk


def forget_silent() -> None:
    from deploy.models import Generation, Host, HostRollout

    host = Host.objects.get(fqdn="mail9.example.test")
    HostRollout.objects.filter(host=host).delete()
    Generation.objects.filter(host=host).delete()
    host.delete()


def push_mailbox(address: str) -> object:
    """One more account, sent at once → how that ended."""
    from django.utils import timezone

    from accounts import domains, lifecycle
    from accounts.models import Domain
    from core import nudge
    from deploy import accounts_push
    from deploy.models import AccountPush, Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    uuid, now = str(Host.objects.get().uuid), timezone.now()
    local, _, name = address.partition("@")
    domain = Domain.objects.filter(name=name).first() or domains.create(
        name=name, host=uuid, by=None, at=now
    )
    lifecycle.create(domain=domain, local_part=local, password="larch cobalt 91", by=None, at=now)
    accounts_push.push(uuid)
    return AccountPush.objects.get().state


def go_on() -> object:
    """The operator says that the host's accounts may be overwritten."""
    from django.utils import timezone

    from core import nudge
    from deploy import accounts_push
    from deploy.models import AccountPush, Host

    nudge.send = lambda task, pk: None  # type: ignore[assignment]
    host = Host.objects.get()
    accounts_push.go_on(host=host, by=None, at=timezone.now())
    accounts_push.push(str(host.uuid))
    return AccountPush.objects.get().state


VERBS: dict[str, Callable[..., object]] = {
    "prepare": worker.prepare,
    "ask": worker.ask,
    "facts": worker.facts,
    "carry": carry,
    "end_leases": end_leases,
    "tick": tick,
    "report": report,
    "look": look,
    "overwrite": overwrite,
    "back_to": back_to,
    "ask_silent": ask_silent,
    "forget_silent": forget_silent,
    "push_mailbox": push_mailbox,
    "go_on": go_on,
}


class Points:
    """Counts the writes of a job, and acts at one of them."""

    def __init__(self, at: "int | str | None", run: "list[str] | None") -> None:
        self.at, self.run = at, run
        self.names: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if (name := _name(sql, params)) is not None:
            self.names.append(name)
            if self.at in (len(self.names) - 1, self.names[-1]):
                self.at = None
                self._act()
        return execute(sql, params, many, context)

    def _act(self) -> None:
        if self.run is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            subprocess.run(self.run, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _name(sql: str, params: Any) -> str | None:
    found = re.match(r'(INSERT|UPDATE|DELETE) (?:INTO |FROM )?"(\w+)"', sql)
    if found is None:
        return None
    verb, table = found.groups()
    if (verb, table) == ("INSERT", STEPS):
        _row, _at, phase, name = params[:4]
        return f"{phase} {name}"
    return f"{verb} {table}"


def run_job(job: dict[str, Any], answer: int) -> int:
    from django.db import connection

    for name, value in job.get("database", {}).items():
        connection.settings_dict["OPTIONS"][name] = value
    points = Points(job.get("at"), job.get("run"))
    status, result = 0, None
    try:
        with connection.execute_wrapper(points):
            result = VERBS[job["verb"]](*job.get("args", ()))
    except BaseException:  # noqa: BLE001 - the bottom of the process
        traceback.print_exc()
        status, result = 1, traceback.format_exc()[-3000:]
    said = json.dumps({"result": result, "points": points.names}, default=str)
    os.write(answer, said.encode())
    return status


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from django.conf import settings

    from core import seal

    seal.ensure_keys(settings.DATA_DIR)
    seal.load("all", settings.DATA_DIR)
    django.setup()
    import deploy.tasks  # noqa: F401 - and all that it needs, once

    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reader)
            status = 1
            try:
                status = run_job(job, writer)
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writer)
        _say({"pid": pid})
        with os.fdopen(reader) as answered:
            text = answered.read()
        _pid, ended = os.waitpid(pid, 0)
        _say({"status": os.waitstatus_to_exitcode(ended), **(json.loads(text) if text else {})})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
