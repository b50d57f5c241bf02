"""The practice host: what it is, what it may not, and that nothing of it is left behind."""

import asyncio
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.practice import DebianRoot, Machine, PracticeError
from deploy.practice.network import Cable, claim


def until(holds, seconds=5.0):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def in_a_thread(coroutine):  # type: ignore[no-untyped-def]
    """Playwright's loop may run in this thread when browser tests went before."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_it_is_the_release_asked_for(bookworm, trixie):
    assert "VERSION_CODENAME=bookworm" in bookworm.run(["cat", "/etc/os-release"]).stdout
    assert "VERSION_CODENAME=trixie" in trixie.run(["cat", "/etc/os-release"]).stdout
    assert bookworm.run(["dovecot", "--version"]).stdout.startswith("2.3.19")
    assert trixie.run(["dovecot", "--version"]).stdout.startswith("2.4.1")


def test_it_knows_its_full_name_at_once(machine):
    began = time.monotonic()
    assert machine.run(["hostname", "-f"]).stdout.strip() == machine.fqdn
    assert time.monotonic() - began < 2
    assert socket.gethostname() != machine.fqdn


def test_sshd_answers_with_a_key_of_its_own(bookworm, trixie):
    for host in (bookworm, trixie):
        with socket.create_connection((host.address, 22), 5) as connection:
            assert connection.recv(64).startswith(b"SSH-2.0-OpenSSH")
        assert host.host_key().startswith("ssh-ed25519 ")
    assert bookworm.host_key() != trixie.host_key()


def test_no_mail_daemon_runs_before_one_is_deployed(fresh_machine):
    for release in ("bookworm", "trixie"):
        names = fresh_machine(release).run(["ps", "-eo", "args="]).stdout
        assert "sshd" in names
        assert "rsyslogd" in names
        assert "sendmail" not in names
        assert "dovecot" not in names


def test_mail_is_logged_with_full_timestamps(machine):
    machine.run(["logger", "-p", "mail.info", "-t", "sendmail", "a line of the test"])
    log = machine.path("/var/log/mail.log")
    assert until(lambda: log.exists() and "a line of the test" in log.read_text())
    assert log.read_text().splitlines()[-1][:4] == time.strftime("%Y")


def test_sendmail_starts_without_waiting_for_names(fresh_machine):
    """A missing name server or host name costs a minute a start; relaying is judged by address."""
    for release in ("bookworm", "trixie"):
        host = fresh_machine(release)
        host.run(["sed", "-i", "s/, Addr=127.0.0.1//", "/etc/mail/sendmail.cf"])
        began = time.monotonic()
        host.run(["/usr/sbin/sendmail-mta", "-bd"])
        assert until(lambda h=host: ":25 " in h.run(["ss", "-ltn"]).stdout, 5)
        for source in (host.console_address, host.foreign_address):
            with smtplib.SMTP(
                host.address, 25, "probe.example.test", 10, source_address=(source, 0)
            ) as client:
                client.ehlo()
                assert client.mail("someone@elsewhere.example")[0] == 250
                code, words = client.rcpt("stranger@third.example")
                # 450 is what an unknown address would get: names of both ends must be known.
                assert (code, b"Relaying denied" in words) == (550, True)
        assert time.monotonic() - began < 8


def test_root_in_there_is_not_root_of_the_machine(machine):
    for attempt in (
        "echo x > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "mount -t tmpfs none /mnt",
        "mknod /tmp/disk b 254 0",
        "unshare --mount true",
        "ip link set eth0 down",
        "hostname other.example.test",
        "date -s 2001-01-01",
    ):
        done = machine.run(["sh", "-c", attempt], check=False)
        assert done.returncode != 0, attempt
    seen = machine.run(["ps", "-eo", "args="]).stdout
    assert "pytest" not in seen
    assert machine.run(["test", "-e", "/dev/vda"], check=False).returncode != 0


def test_it_reaches_nothing_but_the_console(machine):
    routes = machine.run(["ip", "route"]).stdout
    assert "default" not in routes
    done = machine.run(
        ["python3", "-c", "import socket; socket.create_connection(('198.51.100.1', 25), 5)"],
        check=False,
    )
    assert "Network is unreachable" in done.stderr


def test_names_are_answered_at_once(machine):
    def lookup(name: str) -> tuple[int, str]:
        done = machine.run(["getent", "ahostsv4", name], check=False)
        return done.returncode, (done.stdout.split() or [""])[0]

    began = time.monotonic()
    assert lookup("customer.example") == (0, machine.foreign_address)
    assert lookup(machine.fqdn) == (0, machine.address)
    assert lookup("nowhere.invalid")[0] == 2
    assert lookup("2.0.0.127.zen.example.org")[0] == 2
    reverse = machine.run(["getent", "hosts", machine.foreign_address]).stdout
    assert "elsewhere.example" in reverse
    assert time.monotonic() - began < 3


def test_input_output_and_failure_of_commands(machine):
    assert machine.run(["cat"], input="grüße").stdout == "grüße"
    assert machine.run(["cat"], input=b"\xff\x00", text=False).stdout == b"\xff\x00"
    assert machine.run(["id", "-un"], user="nobody").stdout.strip() == "nobody"
    with pytest.raises(PracticeError, match="ended with 3: no"):
        machine.run(["sh", "-c", "echo no >&2; exit 3"])


def test_stopping_ends_everything_and_starting_brings_the_files_back(fresh_machine):
    host = fresh_machine("bookworm")
    key = host.host_key()
    host.run(["sh", "-c", "echo kept > /root/note; setsid sleep 1000 >/dev/null 2>&1 &"])
    first = host.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    assert len(children) >= 3
    began = time.monotonic()
    host.stop()
    assert time.monotonic() - began < 5
    assert not host.running
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert not host.cable.is_laid
    with pytest.raises(PracticeError, match="not running"):
        host.run(["true"])
    assert host.path("/root/note").read_text() == "kept\n"
    host.start(leash=True)
    assert host.run(["cat", "/root/note"]).stdout == "kept\n"
    assert host.host_key() == key


def test_it_outlives_the_console_and_a_second_start_finds_it(fresh_machine):
    host = fresh_machine("bookworm")
    again = Machine(host.directory)
    assert again.running
    pid = again.pid
    again.start()
    assert again.pid == pid


def test_a_state_from_before_a_reboot_is_not_believed(fresh_machine):
    host = fresh_machine("bookworm")
    state = host.directory / "state.json"
    written = json.loads(state.read_text())
    for lie in ({"boot": "00000000-0000-0000-0000-000000000000"}, {"started": 1}, {"pid": 1}):
        state.write_text(json.dumps({**written, **lie}))
        assert not Machine(host.directory).running, lie
    state.write_text(json.dumps(written))
    assert host.running


def test_a_killed_host_is_noticed_and_started_anew(fresh_machine):
    host = fresh_machine("trixie")
    os.kill(host.pid, signal.SIGKILL)
    assert until(lambda: not host.running)
    host.start(leash=True)
    assert host.run(["true"]).returncode == 0


def test_sshd_and_log_are_started_again_when_they_die(fresh_machine):
    host = fresh_machine("bookworm")
    host.run(["pkill", "-x", "sshd"])

    def answers() -> bool:
        try:
            with socket.create_connection((host.address, 22), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    assert until(answers, 10)


def test_a_boot_runs_the_helpers_recovery(fresh_machine):
    host = fresh_machine("bookworm")
    helper = "import pathlib, sys; pathlib.Path('/root/asked').write_text(' '.join(sys.argv[1:]))"
    host.run(["install", "-d", "/usr/local/lib/mailadmin"])
    host.run(["tee", "/usr/local/lib/mailadmin/hostctl"], input=helper)
    host.stop()
    host.start(leash=True)
    asked = host.path("/root/asked")
    assert until(lambda: asked.exists() and asked.read_text() == "recover")


def test_two_hosts_never_share_addresses(fresh_machine):
    first = fresh_machine("bookworm")
    second = fresh_machine("bookworm")
    assert first.cable != second.cable
    # The second's record says the first's addresses: at its start it takes others and says so.
    second.stop()
    record = json.loads((second.directory / "machine.json").read_text())
    record["index"] = first.cable.index
    (second.directory / "machine.json").write_text(json.dumps(record))
    moved = Machine(second.directory)
    moved.start(leash=True)
    try:
        assert moved.cable != first.cable
        assert Machine(second.directory).address == moved.address
        assert moved.run(["hostname", "-i"]).stdout.strip() == moved.address
    finally:
        moved.stop()


def test_a_running_hosts_index_is_not_given_away(bookworm):
    cable, lock = claim(bookworm.cable.index)
    os.close(lock)
    assert cable != bookworm.cable


def test_a_test_that_is_killed_leaves_no_host_behind(tmp_path, can_run_hosts):
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from deploy.practice import Machine\n"
        "m = Machine.create(sys.argv[1], 'bookworm', 'mail3.example.test')\n"
        "m.start(leash=True); print(m.pid, m.cable.index, flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(tmp_path / "host"), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as test:
        pid, index = map(int, test.stdout.readline().split())
        assert Path(f"/proc/{pid}").exists()
        test.kill()
    assert until(lambda: not Machine(tmp_path / "host").running, 10)
    assert until(lambda: not Cable(index).is_laid)
    Machine(tmp_path / "host").destroy()


def test_nothing_is_left_after_destroying(fresh_machine):
    before = Path("/proc/self/mountinfo").read_text()
    host = fresh_machine("bookworm")
    assert Path("/proc/self/mountinfo").read_text() == before
    host.destroy()
    assert not host.directory.exists()
    assert not host.cable.is_laid


def test_a_disk_without_overlay_gets_a_copy(tmp_path, can_run_hosts):
    host = Machine.create(tmp_path / "host", "bookworm", "mail3.example.test", overlay=False)
    try:
        host.start(leash=True)
        assert host.run(["hostname", "-f"]).stdout.strip() == "mail3.example.test"
        assert not host.overlay
    finally:
        host.destroy()


def test_the_image_is_not_changed_by_its_instances(fresh_machine):
    host = fresh_machine("bookworm")
    host.run(["rm", "/etc/mail/sendmail.cf"])
    assert (host.image / "etc/mail/sendmail.cf").exists()
    assert not list((host.image / "etc/ssh").glob("ssh_host_*"))


def test_an_image_that_went_missing_is_said_so(fresh_machine):
    host = fresh_machine("bookworm")
    host.stop()
    host.image = host.image.with_name("debian-gone")
    with pytest.raises(PracticeError, match="removed from the cache"):
        host.start()


def test_bad_orders_are_refused(tmp_path, can_run_hosts):
    with pytest.raises(PracticeError, match="full host name"):
        Machine.create(tmp_path / "host", "bookworm", "mail")
    with pytest.raises(PracticeError, match="Only bookworm, trixie"):
        Machine.create(tmp_path / "host", "sarge", "mail.example.test")
    with pytest.raises(PracticeError, match="no practice host"):
        Machine(tmp_path)


def test_other_packages_make_another_root(monkeypatch):
    before = DebianRoot("bookworm").path
    monkeypatch.setattr("deploy.practice.debian.PACKAGES", ("sendmail-bin",))
    assert DebianRoot("bookworm").path != before


def test_an_authorized_key_reaches_the_helper_and_nothing_else(fresh_machine):
    import asyncssh

    async def converse(host: Machine, key: asyncssh.SSHKey, command: str) -> str:
        known = asyncssh.import_known_hosts(f"{host.address} {host.host_key()}\n")
        async with asyncssh.connect(
            host.address, username="mailadmin", client_keys=[key], known_hosts=known
        ) as connection:
            header = {"v": 1, "verb": "facts", "host": "5b2f2d3e-0000-4000-8000-000000000001"}
            done = await connection.run(command, input=json.dumps(header) + "\n")
            return str(done.stdout)

    for release, dovecot in (("bookworm", "2.3.19"), ("trixie", "2.4.1")):
        host = fresh_machine(release)
        ours, stranger = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        host.authorize(ours.export_public_key().decode())
        for command in ("", "id"):  # the forced command replaces what is asked for
            facts = json.loads(in_a_thread(converse(host, ours, command)).splitlines()[-1])
            assert facts["event"] == "result"
            assert facts["hostname"] == host.fqdn
            assert facts["fqdn_ok"] is True
            assert facts["dovecot"].startswith(dovecot)
        with pytest.raises(asyncssh.PermissionDenied):
            in_a_thread(converse(host, stranger, ""))
