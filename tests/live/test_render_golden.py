"""The daemons' own parsers read back what was written: golden files, and whatever may be typed.

m4 runs as nobody, as the helper runs it.
"""

import re
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.practice import Machine
from deploy.render import render
from deploy.render.values import HostConfig, Snapshot
from tests.live.conftest import started
from tests.render import strategies
from tests.render.examples import GOLDEN, HOSTS, TLS, hosts_of

GENERATION = "/var/lib/mailadmin/generations/1"


@dataclass
class Reader:
    """A host that nothing was deployed to: only its parsers are asked."""

    machine: Machine
    dovecot: str

    def put(self, path: str, content: bytes) -> str:
        target = f"/srv/{uuid.uuid4().hex[:8]}-{path.rpartition('/')[2]}"
        self.machine.path(target).write_bytes(content.replace(b"@GENERATION@", GENERATION.encode()))
        return target

    def cf(self, mc: bytes) -> str:
        """What m4 makes of it; a complaint is a failure."""
        made = self.machine.run(["m4", self.put("sendmail.mc", mc)], user="nobody")
        assert made.stderr == ""
        return made.stdout

    def doveconf(self, conf: bytes, *names: str) -> str:
        shown = ["-h", *names] if names else ["-n"]
        return self.machine.run(["doveconf", "-c", self.put("dovecot.conf", conf), *shown]).stdout


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def reader(request, can_run_hosts):
    with started(request.param) as machine:
        yield Reader(machine, "dovecot23" if request.param == "bookworm" else "dovecot24")


def options(cf: str, name: str) -> list[str]:
    return re.findall(rf"^O {name}=(.*)$", cf, re.M)


@pytest.mark.parametrize("name", hosts_of("sendmail"))
def test_sendmail_reads_the_golden_files(reader, name):
    cf = reader.cf((GOLDEN / name / "sendmail/sendmail.mc").read_bytes())
    assert f"\nDj{HOSTS[name].fqdn}\n" in cf
    path = reader.put("sendmail.cf", cf.encode())
    reader.machine.run(["chmod", "644", path])
    said = reader.machine.run(
        ["sendmail", "-C", path, "-bt"], input="$j\n=S check_mail\n", timeout=30
    ).stdout
    assert HOSTS[name].fqdn in said
    for wrong in ("unknown", "invalid", "bad", "line "):
        assert wrong not in said.lower(), said
    for ruleset in ("Local_check_mail", "Local_check_rcpt", "Local_check_relay"):
        assert cf.count(f"\nS{ruleset}\n") == 2  # the standard file's empty one, and ours


@pytest.mark.parametrize("name", HOSTS)
def test_dovecot_reads_the_golden_files(reader, name):
    conf = (GOLDEN / name / f"dovecot/{reader.dovecot}.conf").read_bytes()
    shown = reader.doveconf(conf)
    assert f"hostname = {HOSTS[name].fqdn}" in shown
    assert "ssl = required" in shown
    if name == "snippets":
        assert "imap_idle_notify_interval = 3 mins" in shown


def test_a_sendmail_snippet_comes_after_our_own_values(reader):
    cf = reader.cf((GOLDEN / "snippets/sendmail/sendmail.mc").read_bytes())
    assert options(cf, "MaxMessageSize") == ["104857600"]
    assert "\nKstaff hash -o /etc/mail/staff\n" in cf
    assert "Größere" not in cf
    plain = reader.cf((GOLDEN / "plain/sendmail/sendmail.mc").read_bytes())
    assert cf.partition("SLocal_check_relay")[2] == plain.partition("SLocal_check_relay")[2]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_may_be_typed_is_read_back(reader, data):
    host = HostConfig(
        fqdn=data.draw(strategies.fqdn.filter(lambda name: len(name) < 200)),
        message_size_mb=data.draw(strategies.megabytes),
        listen_inet=tuple(data.draw(strategies.inet)),
        listen_inet6=tuple(data.draw(strategies.inet6)),
    )
    files = render(Snapshot(host=host, tls=TLS)).files
    cf = reader.cf(files["sendmail/sendmail.mc"])
    assert re.findall(r"^Dj(.*)$", cf, re.M) == [host.fqdn]
    assert options(cf, "MaxMessageSize") == [str(host.message_size_mb * 1024 * 1024)]
    listeners = [
        dict(part.strip().split("=", 1) for part in line.split(","))
        for line in options(cf, "DaemonPortOptions")
    ]
    for port, modifiers in (("25", "A"), ("587", "Ea"), ("465", "Eas")):
        ours = [each for each in listeners if each["Port"] == port]
        assert {each["M"] for each in ours} == {modifiers}
        wanted = {*host.listen_inet, *host.listen_inet6}
        local = {"127.0.0.1"} if port == "25" and "0.0.0.0" not in wanted else set()
        assert {each["Addr"] for each in ours} == wanted | local
    conf = files[f"dovecot/{reader.dovecot}.conf"]
    said = reader.doveconf(conf, "hostname", "postmaster_address", "listen").splitlines()
    assert said[:2] == [host.fqdn, f"postmaster@{host.fqdn}"]
    assert re.split(r",? ", said[2]) == list(dict.fromkeys([*host.listen_inet, *host.listen_inet6]))
