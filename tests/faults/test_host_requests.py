"""Requests to a real host that are too many, too large or too early; and a name that is none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from deploy.plan import objections_to
from deploy.render.values import Facts
from deploy.sentences import OBJECTIONS
from tests.faults.hosts import all_on_the_old, managed, outside
from tests.live.hostctl_host import HostError, MailHost, until

STREAM = f"""
import json, resource, subprocess, sys
process = subprocess.Popen(["{paths.HELPER}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sent, block = 0, bytes(1 << 20)
try:
    process.stdin.write(sys.argv[1].encode() + b"\\n")
    while sent < 10 << 30:
        process.stdin.write(block)
        sent += len(block)
    process.stdin.close()
except BrokenPipeError:
    pass
said = process.stdout.read().splitlines()[-1]
process.wait()
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({{"sent": sent, "peak": peak, "said": json.loads(said)}}))
"""


@pytest.fixture(scope="module")
def host(can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with managed("bookworm", tmp_path_factory.mktemp("authority")) as made:
        yield made


@pytest.mark.parametrize("size", [None, 10 << 30])
def test_ten_gigabytes(host: MailHost, size: int | None) -> None:
    fields = {"size": size} if size else {}
    header = host.request("stage", generation=99, base=host.generation, **fields)
    done = host.machine.run(
        ["/usr/bin/python3", "-c", STREAM, header.decode().strip()], timeout=120
    )
    told = json.loads(done.stdout)
    assert told["said"]["code"] == "too_large"
    assert told["sent"] < 32 << 20
    assert told["peak"] < 64 << 20
    all_on_the_old(host)


def test_two_rollouts_at_once(host: MailHost) -> None:
    first, _ = host.prepare()
    second, _ = host.prepare()
    running = []
    for number in (first, second):
        fields = {"generation": number, "base": host.generation, "deadline": 60}
        process = subprocess.Popen(
            host.machine.command([paths.HELPER]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(host.request("switch", **fields))
        process.stdin.close()
        running.append(process)
    said = []
    for process in running:
        assert process.stdout is not None
        said.append(json.loads(process.stdout.read().splitlines()[-1]))
        process.wait(60)
    codes = sorted(event.get("code", "done") for event in said)
    assert codes in (["done", "pending"], ["done", "replayed"]), said
    live = host.current()
    assert live in (first, second)
    host.ask("rollback", generation=live)
    all_on_the_old(host)


def test_a_hup_that_kills_sendmail(host: MailHost) -> None:
    """Started by a bare name, it executes that again at a HUP, and is gone."""
    pid = host.machine.path("/run/sendmail/mta/sendmail.pid")
    host.machine.run(["kill", "-9", pid.read_text().split()[0]])
    bare = 'import os; os.chdir("/"); os.execv("/usr/sbin/sendmail", ["sendmail", *"{}".split()])'
    argv = bare.format("-Am -L sm-mta -bd -q10m")
    until(lambda: 587 not in host.ask("facts")["listening"])
    host.machine.run(["/usr/bin/python3", "-c", argv])
    until(lambda: bool(host.ask("facts")["services"]["sendmail"]["running"]))
    number, tls = host.prepare()
    assert host.switch(number)["services"]["sendmail"] == "reloaded"
    host.ask("confirm", generation=number)
    host.generation, host.served = number, tls.fingerprint_sha256
    all_on_the_old(host)


def test_a_sendmail_that_no_longer_starts_at_all(host: MailHost) -> None:
    """Neither forward nor back: it says so, and what it says to type brings it back."""
    number, _ = host.prepare()
    program = host.machine.run(["readlink", "-f", "/usr/sbin/sendmail"]).stdout.strip()
    back = f"mv {program}.away {program}"
    host.machine.run(["mv", program, f"{program}.away"])
    try:
        with pytest.raises(HostError) as failed:
            host.switch(number)
    finally:
        host.machine.run(["sh", "-c", back])
    assert failed.value.code == "rollback_failed"
    assert host.ask("facts")["last"]["outcome"] == "rollback_failed"
    with pytest.raises(HostError) as refused:
        host.switch(number)
    assert refused.value.code == "rollback_failed"
    for said in (failed.value.message, refused.value.message):
        assert said.endswith(f"type as root on the host: python3 -I {paths.HELPER} recover") or (
            said.endswith(f"type as root there: python3 -I {paths.HELPER} recover")
        )
    host.machine.run(["sh", "-c", failed.value.message.rpartition("host: ")[2]], timeout=120)
    assert host.outcome() == "rolled_back"
    all_on_the_old(host)


def test_a_host_without_a_qualified_name(host: MailHost) -> None:
    """Every start of Sendmail would take a minute: the console refuses it, with what to do."""
    short = host.machine.fqdn.split(".")[0]
    hosts = host.machine.path("/etc/hosts")
    kept, name = hosts.read_text(), host.machine.path("/etc/hostname").read_text()
    try:
        hosts.write_text(f"127.0.0.1 localhost\n{host.machine.address} {short}\n")
        outside(host, "hostname", short)
        facts = host.ask("facts")
    finally:
        hosts.write_text(kept)
        outside(host, "hostname", name.strip())
    assert facts["fqdn_ok"] is False
    found = [objection.code for objection in objections_to(Facts.from_report(facts), "sendmail")]
    assert found == ["fqdn"]
    assert "/etc/hosts" in str(OBJECTIONS["fqdn"])
    assert host.ask("facts")["fqdn_ok"] is True
