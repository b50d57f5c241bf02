"""One rollout to 100 hosts: at most 60 s. `./run manage bench fleet`, as root, about 4 minutes.

    python -m benchmarks.fleet [how many]

    first rollout, 100 hosts               54.5 s   budget 60 s; asked for in 0.4 s
      a host, median                       4.06 s   stage 0.23, accounts 0.43, …, confirm 0.14
      processor time, a host               0.90 s   console 0.15, hosts 0.60, daemons 0.15
      hosts that were not confirmed            0
    a change, 100 hosts                    …

A console as `./run` starts it, and one Debian root with real sshd, sudo and the helper as it is
installed: each host has a key, a forced command and a folder of its own there
(`benchmarks.fleet_host`), and 100 mailboxes. **Sendmail, Dovecot and the bridge only pretend**, on
the ports that the probes ask; certificates, m4, maps, openssl, journal, dead-man and switch are
real. All 100 hosts share this machine's cores with the console: real ones would bring their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import first_light
from benchmarks.fleet_host import DOMAIN, PROGRAMS, program_of

HOSTS = 100
MAILBOXES = 100
CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAM = f"{PROGRAMS}/fleet_host.py"


def run(hosts: int = HOSTS) -> Iterator[str]:
    if os.geteuid() != 0:
        raise RuntimeError("the hosts' Debian root needs root")
    from deploy.practice import Machine

    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        machine = Machine.create(Path(folder) / "host", "bookworm", "fleet.example.test")
        try:
            machine.start(leash=True)
            with first_light.started(data) as (_, console):
                yield from lines(_measure(machine, data, hosts, console.pid))
        finally:
            machine.destroy()


def _measure(machine: Any, data: Path, hosts: int, console: int) -> dict[str, Any]:
    keys = _inside(data, f"add({machine.address!r}, {hosts})")
    _prepare(machine, keys)
    with subprocess.Popen(
        machine.command(["/usr/bin/python3", "-I", PROGRAM, "daemons"]),
        stdout=subprocess.PIPE,
    ) as daemons:
        try:
            assert daemons.stdout is not None
            daemons.stdout.readline()
            roots = {"console": console, "hosts": machine.pid, "daemons": daemons.pid}
            return _inside(data, f"measure({MAILBOXES}, {roots})")
        finally:
            daemons.terminate()


def _prepare(machine: Any, keys: dict[str, str]) -> None:
    """Installs the helper; then one line of authorized_keys and one sudo rule for each host."""
    machine.authorize(next(iter(keys.values())))
    for name in ("fleet_host.py", "fleet_daemons.py"):
        content = (CHECKOUT / "benchmarks" / name).read_bytes()
        machine.path(f"{PROGRAMS}/{name}").write_bytes(content)
    machine.run(["/usr/bin/python3", "-I", PROGRAM, "prepare", str(len(keys))])
    allowed, rules = [], []
    for number in range(1, len(keys) + 1):
        program, key = program_of(number), keys[f"mail{number}.{DOMAIN}"]
        allowed.append(f'restrict,command="sudo {program}" {key}\n')
        rules.append(f'mailadmin ALL=(root) NOPASSWD: {program} ""\n')
    machine.path("/var/lib/mailadmin/login/.ssh/authorized_keys").write_text("".join(allowed))
    machine.path("/etc/sudoers.d/mailadmin").write_text("".join(rules))


def _inside(data: Path, call: str) -> Any:
    """What `benchmarks.fleet_console` says, run with the console's own command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILADMIN_")}
    done = subprocess.run(
        [
            str(CHECKOUT / "run"),
            *("manage", "shell", "-v", "0", "-c"),
            f"from benchmarks import fleet_console; fleet_console.{call}",
        ],
        env=kept | {"MAILADMIN_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def lines(measured: dict[str, Any]) -> Iterator[str]:
    yield "Sendmail, Dovecot and the bridge only pretend; everything else is real"
    for name, title in (("first", "first rollout"), ("change", "a change")):
        found = measured[name]
        yield (
            f"{title + ', ' + str(found['hosts']) + ' hosts':36} {found['took']:5.1f} s   "
            f"budget 60 s; asked for in {found['asked']:.1f} s"
        )
        spent = ", ".join(f"{phase} {ms / 1000:.2f}" for phase, ms in found["phases"].items())
        yield f"{'  a host, median':36} {found['host']:5.2f} s   {spent}"
        each = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found["worked"].items())
        yield f"{'  processor time, a host':36} {sum(found['worked'].values()):5.2f} s   {each}"
        yield f"{'  hosts that were not confirmed':36} {len(found['failed']):5}"
        yield from (f"    {line}" for line in found["failed"][:5])


if __name__ == "__main__":
    for line in run(int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
