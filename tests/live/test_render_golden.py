"""The daemons' own parsers read back what was written: golden files, and whatever may be typed.

m4 runs as nobody, as the helper runs it.
"""

import os
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.practice import Machine
from deploy.render import CannotRender, lines, render
from deploy.render.values import HostConfig, Snapshot
from tests.live.conftest import started
from tests.render import strategies
from tests.render.examples import GOLDEN, HOSTS, TLS, hosts_of

GENERATION = "/var/lib/mailadmin/generations/1"
MC = "sendmail/sendmail.mc"
POSTFIX_FILES = ("main.cf", "master.cf")
SERVICE = re.compile(r"^[^#\s]", re.M)
WHATEVER = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass
class Reader:
    """A host that nothing was deployed to: only its parsers are asked."""

    machine: Machine
    dovecot: str

    def put(self, path: str, content: bytes) -> str:
        # Fedora's Sendmail is the same elsewhere: Debian's macro files stand in for its own.
        content = content.replace(b"/usr/share/sendmail-cf/", b"/usr/share/sendmail/cf/")
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


@WHATEVER
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


@WHATEVER
@given(strategies.plain)
def test_an_own_line_is_read_back_by_dovecot_and_nothing_else_is(reader, value):
    host = HostConfig(fqdn="mail.example.test", snippet_dovecot=f"login_greeting = {value}\r\n")
    conf = render(Snapshot(host=host, tls=TLS)).files[f"dovecot/{reader.dovecot}.conf"]
    said = reader.doveconf(conf, "login_greeting", "hostname", "ssl").splitlines()
    assert said == [value, "mail.example.test", "required"]


@WHATEVER
@given(strategies.plain)
def test_an_own_line_is_read_back_by_sendmail_and_nothing_else_is(reader, value):
    own = f"LOCAL_CONFIG\nD{{own}}{value}\n"
    host = HostConfig(fqdn="mail.example.test", snippet_sendmail=own)
    cf, plain = (
        Counter(
            line
            for line in reader.cf(render(Snapshot(host=each, tls=TLS)).files[MC]).splitlines()
            if line and not line.startswith("#")
        )
        for each in (host, HostConfig(fqdn=host.fqdn))
    )
    assert cf - plain == Counter([f"D{{own}}{value}"])
    assert not plain - cf


# --- Postfix -------------------------------------------------------------------------------------


@dataclass
class Postconf:
    """A host's `postconf`, on files that nothing was deployed from."""

    machine: Machine

    def put(self, files: Mapping[str, bytes]) -> str:
        folder = f"/srv/{uuid.uuid4().hex[:8]}"
        self.machine.path(folder).mkdir()
        for name in ("main.cf", "master.cf"):
            content = files[f"postfix/{name}"].replace(b"@GENERATION@", GENERATION.encode())
            path = self.machine.path(f"{folder}/{name}")
            path.write_bytes(content)
            os.utime(path, (0, 0))  # Postfix waits with a file that changed just now
        return folder

    def ask(self, folder: str, *arguments: str) -> list[str]:
        """Its lines; a warning is a failure."""
        made = self.machine.run(["postconf", "-c", folder, *arguments])
        assert made.stderr == ""
        return made.stdout.splitlines()


@pytest.fixture(scope="module", params=["bookworm-postfix", "trixie-postfix"])
def postconf(request, can_run_hosts):
    with started(request.param) as machine:
        yield Postconf(machine)


@pytest.mark.parametrize("name", hosts_of("postfix"))
def test_postfix_reads_the_golden_files(postconf, name):
    kept = {f"postfix/{n}": (GOLDEN / name / "postfix" / n).read_bytes() for n in POSTFIX_FILES}
    folder = postconf.put(kept)
    settings = dict(line.partition(" = ")[::2] for line in postconf.ask(folder, "-n"))
    written = {
        setting: value
        for _number, setting, value in lines.postfix_settings(kept["postfix/main.cf"].decode())
    }
    settings = {setting.removesuffix(" ="): value for setting, value in settings.items()}
    settings.pop("config_directory", None)  # 3.7 counts it among them
    assert {setting: value.split() for setting, value in settings.items()} == {
        setting: value.replace("@GENERATION@", GENERATION).split()
        for setting, value in written.items()
    }
    services = postconf.ask(folder, "-M")
    assert len(services) == len(SERVICE.findall(kept["postfix/master.cf"].decode()))


@WHATEVER
@given(data=st.data())
def test_whatever_may_be_typed_is_read_back_by_postfix(postconf, data):
    host = HostConfig(
        mta="postfix",
        fqdn=data.draw(strategies.fqdn.filter(lambda name: len(name) < 200)),
        message_size_mb=data.draw(strategies.megabytes),
        listen_inet=tuple(data.draw(strategies.inet)),
        listen_inet6=tuple(data.draw(strategies.inet6)),
    )
    folder = postconf.put(render(Snapshot(host=host, tls=TLS)).files)
    said = postconf.ask(folder, "-h", "myhostname", "message_size_limit", "virtual_transport")
    size = str(host.message_size_mb * 1024 * 1024)
    assert said == [host.fqdn, size, "lmtp:unix:/run/dovecot/lmtp"]
    listening = {line.split()[0] for line in postconf.ask(folder, "-M") if " inet " in line}
    wanted = {*host.listen_inet, *(f"[{address}]" for address in host.listen_inet6)}
    local = set() if {"0.0.0.0", "127.0.0.1"} & wanted else {"127.0.0.1"}
    assert listening == {
        f"{address}:{port}"
        for port in (25, 465, 587)
        for address in (wanted | local if port == 25 else wanted)
    }


@WHATEVER
@given(
    st.sampled_from(["relayhost", "smtpd_banner", "smtpd_client_restrictions", "header_checks"]),
    strategies.own_value.filter(lambda value: "$" not in value),  # which names other settings
)
def test_an_own_line_is_read_back_by_postfix_and_nothing_else_is(postconf, name, value):
    text = f"{name} = {value}"
    try:
        kept = lines.postfix_snippet(text)
    except CannotRender:
        return
    host = HostConfig(fqdn="mail.example.test", mta="postfix", snippet_postfix=kept)
    folder = postconf.put(render(Snapshot(host=host, tls=TLS)).files)
    ((_number, _name, meant),) = lines.postfix_settings(kept)
    said = postconf.ask(folder, "-h", name, "virtual_transport", "bounce_queue_lifetime")
    assert said[0].split() == meant.split()
    assert said[1:] == ["lmtp:unix:/run/dovecot/lmtp", "5d"]
