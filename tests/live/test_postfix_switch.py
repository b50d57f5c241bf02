"""What Postfix itself would have taken is refused before anything live is touched, and one that
does not come back is rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.bundle import POSTFIX_MAIN, POSTFIX_MASTER, TLS_CHAIN, Bundle
from deploy.hostctl import paths
from tests.live.conftest import FreshMachine, started
from tests.live.hostctl_host import DOMAIN, HostError, MailHost, until
from tests.live.test_hostctl_refusals import KEY, refusal

RELEASES = ["bookworm-postfix", "trixie-postfix"]


@pytest.fixture(scope="module", params=RELEASES)
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailHost]:
    with started(request.param) as machine:
        made = MailHost(machine, tmp_path_factory.mktemp("authority"), KEY)
        made.fill("anna", "bob")
        made.deploy()
        yield made


@pytest.fixture(params=RELEASES)
def fresh(
    request: pytest.FixtureRequest,
    fresh_machine: FreshMachine,
    tmp_path_factory: pytest.TempPathFactory,
) -> MailHost:
    """With a system's own Postfix that runs, and nothing of ours live."""
    made = MailHost(fresh_machine(request.param), tmp_path_factory.mktemp("authority"), KEY)
    made.machine.run(["postfix", "start"])
    made.fill("anna", "bob")
    return made


@pytest.fixture
def untouched(host: MailHost) -> Iterator[None]:
    before = host.ask("facts")
    yield
    after = host.ask("facts")
    for name in ("generation", "services", "drift", "last"):
        assert after[name] == before[name]
    assert set(host.fingerprints().values()) == {host.served}


def works(host: MailHost) -> None:
    client = host.submission("anna")
    assert client.mail(f"anna@{DOMAIN}")[0] == 250
    assert client.rcpt(f"bob@{DOMAIN}")[0] == 250
    client.quit()
    host.imap("anna").logout()


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (POSTFIX_MAIN, "", "no_such_parameter_here = 1\n", "no_such_parameter_here"),
        (POSTFIX_MAIN, "", "default_process_limit = many\n", "default_process_limit"),
        (POSTFIX_MAIN, "", "this is no setting\n", "main.cf"),
        (POSTFIX_MASTER, "", "nonsense\n", "master.cf"),
        (POSTFIX_MASTER, "", "x unix - - n - - no-such-program\n", "no-such-program"),
        (POSTFIX_MASTER, "", "x unix - - n - many smtpd\n", "many"),
        (POSTFIX_MAIN, f"{paths.LOOKUP_SOCKET}:mailbox", "/run/no.sock:mailbox", "virtual_mail"),
        (POSTFIX_MAIN, f"{paths.LOOKUP_SOCKET}:owner", "/run/nobody.sock:owner", "login_maps"),
        (POSTFIX_MAIN, "permit_mynetworks, reject_unauth_destination", "permit", "relay"),
        (
            POSTFIX_MASTER,
            ", reject_authenticated_sender_login_mismatch",
            "",
            "send as anybody",
        ),
    ],
)  # fmt: skip
def test_a_configuration_that_must_not_be(
    host: MailHost, untouched: None, path: str, old: str, new: str, words: str
) -> None:
    assert words in refusal(host, (path, old, new))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (POSTFIX_MAIN, "debug_peer_list = 0.0.0.0/0\n"),
        (POSTFIX_MASTER, "127.0.0.1:2525 inet n - n - - smtpd -v\n"),
    ],
)
def test_passwords_in_the_log(host: MailHost, untouched: None, path: str, line: str) -> None:
    assert "passwords" in refusal(host, (path, "", line))


def test_a_certificate_of_another_key(host: MailHost, untouched: None) -> None:
    other = host.ask("csr", names=[host.machine.fqdn])["key_id"]
    assert "not issued for this host's key" in refusal(host, key=other)


def test_a_truncated_certificate(host: MailHost, untouched: None) -> None:
    tls = host.certificate()
    bundle = host.bundle(tls)
    cut = Bundle({**bundle.files, TLS_CHAIN: bundle.files[TLS_CHAIN][:200]})
    number = host.stage(cut, tls.key_id)
    with pytest.raises(HostError, match="cannot be read"):
        host.ask("validate", generation=number)


def test_a_bundle_for_sendmail(host: MailHost, untouched: None) -> None:
    tls = host.certificate()
    with pytest.raises(HostError) as refused:
        host.stage(host.bundle(tls, mta="sendmail"), tls.key_id)
    assert refused.value.code == "wrong_mta"
    host.numbered -= 1


# --- switched --------------------------------------------------------------------------------


def test_a_change_of_the_settings_reloads_and_one_of_the_ports_restarts(host: MailHost) -> None:
    tls = host.certificate()

    def put(**config: object) -> str:
        number = host.stage(host.bundle(tls, **config), tls.key_id)
        host.ask("validate", generation=number)
        told: str = host.switch(number)["services"]["postfix"]
        host.ask("confirm", generation=number)
        host.generation, host.served = number, tls.fingerprint_sha256
        works(host)
        return told

    put(message_size_mb=20)
    sending, reading = host.submission("anna"), host.imap("anna")
    assert put(message_size_mb=21) == "reloaded"
    assert sending.mail(f"anna@{DOMAIN}")[0] == 250 and reading.noop()[0] == "OK"
    assert host.smtp(25).esmtp_features["size"] == str(21 * 1024 * 1024)
    assert put(message_size_mb=21, listen_inet=(host.machine.address,)) == "restarted"
    assert put(message_size_mb=21) == "restarted"


def test_a_renewed_certificate_is_served_at_once(host: MailHost) -> None:
    before = host.served
    host.deploy()
    assert host.served != before
    until(lambda: set(host.fingerprints().values()) == {host.served}, 10)
    works(host)


@pytest.mark.parametrize(
    "spoil",
    [
        "echo 'garbage here' > postfix/master.cf",
        "echo 'queue_directory = /nowhere' >> postfix/main.cf",
        "sed -i 's/:25 inet/:70000 inet/' postfix/master.cf",
    ],
)
def test_a_postfix_that_does_not_come_back_is_rolled_back(host: MailHost, spoil: str) -> None:
    """Spoiled after it was validated: nothing but the switch is left to find it."""
    number, _tls = host.prepare(listen_inet=(host.machine.address,))  # a restart
    host.machine.run(["sh", "-ec", f"cd {paths.STATE}/generations/{number}; {spoil}"])
    with pytest.raises(HostError) as rolled:
        host.switch(number)
    assert rolled.value.code == "rolled_back", rolled.value.message
    facts = host.ask("facts")
    assert (facts["generation"], facts["pending"]) == (host.generation, None)
    assert facts["services"]["postfix"]["running"]
    assert set(host.fingerprints().values()) == {host.served}
    works(host)


def test_silence_rolls_back(host: MailHost) -> None:
    number, _tls = host.prepare()
    host.switch(number, deadline=4)
    until(lambda: set(host.fingerprints().values()) == {host.served}, 30)
    until(lambda: host.ask("facts")["last"]["outcome"] == "rolled_back", 30)
    works(host)


def test_from_the_systems_own_to_ours_and_back_to_generation_0(fresh: MailHost) -> None:
    """A rollback of the first one puts back what was there, and it runs as it did."""
    own = fresh.machine.path("/etc/postfix/main.cf")
    text = own.read_text()
    assert not own.is_symlink() and fresh.smtp(25).ehlo()[0] == 250
    number, tls = fresh.prepare()
    assert fresh.switch(number)["services"]["postfix"] == "restarted"
    assert own.is_symlink()
    fresh.ask("confirm", generation=number)
    fresh.generation, fresh.served = number, tls.fingerprint_sha256
    works(fresh)
    assert fresh.ask("rollback", generation=number)["outcome"] == "rolled_back"
    assert not own.is_symlink() and own.read_text() == text
    facts = fresh.ask("facts")
    assert facts["generation"] == 0
    assert facts["services"]["postfix"]["running"] and facts["listening"] == [25]
    assert b"250" in str(fresh.smtp(25).ehlo()).encode()
    fresh.generation = 0
    again = fresh.deploy()
    assert set(fresh.fingerprints().values()) == {again.fingerprint_sha256}


def test_the_sockets_are_postfixs_and_nobody_elses(host: MailHost) -> None:
    for path in (paths.LOOKUP_SOCKET, paths.POLICY_SOCKET):
        shown = host.machine.run(["stat", "-c", "%a %U:%G", path]).stdout.strip()
        assert shown == "660 root:postfix"
    asked = ["postmap", "-q", f"anna@{DOMAIN}", f"socketmap:unix:{paths.LOOKUP_SOCKET}:mailbox"]
    assert host.machine.run(asked).stdout.strip() == f"anna@{DOMAIN}"
    assert host.machine.run(asked, user="nobody", check=False).stdout.strip() == ""


def test_drift_of_main_cf_is_seen_and_overwritten(host: MailHost) -> None:
    """`postconf -e` follows the link: it changes the generation itself."""
    host.machine.run(["postconf", "-e", "message_size_limit=1000000"])
    told = host.ask("drift")["files"]
    assert {each["name"]: each["state"] for each in told} == {"postfix/main.cf": "replaced"}
    host.deploy()
    assert host.ask("facts")["drift"] == []
    assert host.smtp(25).esmtp_features["size"] == str(50 * 1024 * 1024)
