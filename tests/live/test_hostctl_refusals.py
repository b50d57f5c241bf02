"""What the daemons themselves would have taken: refused before anything live is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.bundle import DOVECOT_23, DOVECOT_24, SENDMAIL_MC, TLS_CHAIN, Bundle
from deploy.hostctl import paths
from tests.live.conftest import started
from tests.live.hostctl_host import HostError, MailHost

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7m0yP0oHn2q3Yc1s3hZt2x6k8u0sQwR5T4V7bN9m1K"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailHost]:
    with started(request.param) as machine:
        made = MailHost(machine, tmp_path_factory.mktemp("authority"), KEY)
        made.fill("anna")
        made.deploy()
        yield made


@pytest.fixture(autouse=True)
def nothing_was_touched(host: MailHost) -> Iterator[None]:
    before = host.ask("facts")
    yield
    after = host.ask("facts")
    assert {k: after[k] for k in ("generation", "services", "drift", "last")} == {
        k: before[k] for k in ("generation", "services", "drift", "last")
    }
    assert set(host.fingerprints().values()) == {host.served}


def changed(bundle: Bundle, path: str, old: str, new: str) -> Bundle:
    """`old` empty: `new` is put at the end."""
    text = bundle.files[path].decode()
    assert old in text
    text = text.replace(old, new, 1) if old else text + new
    return Bundle({**bundle.files, path: text.encode()})


def refusal(host: MailHost, *changes: tuple[str, str, str], key: str = "") -> str:
    tls = host.certificate()
    bundle = host.bundle(tls)
    for path, old, new in changes:
        bundle = changed(bundle, path, old, new)
    number = host.stage(bundle, key or tls.key_id)
    with pytest.raises(HostError) as refused:
        host.ask("validate", generation=number)
    assert refused.value.code == "refused"
    with pytest.raises(HostError) as switched:
        host.switch(number)
    assert switched.value.code == "not_validated"
    return refused.value.message


MC_END = "MAILER_DEFINITIONS\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("syscmd(`touch /tmp/ran')dnl", "syscmd"),
        ("define(`x', esyscmd(`touch /tmp/ran'))dnl", "esyscmd"),
        ("FEATURE(`no_such_feature')dnl", "m4"),
        ("FEATUER(`nouucp')dnl", "Sendmail"),
        ("include(`/etc/shadow')dnl", "m4"),
        ("define(`confTO_IDENT', `0)dnl", "m4"),
        ("LOCAL_CONFIG\nO NoSuchOption=1", "Sendmail"),
    ],
)
def test_a_bad_mc(host: MailHost, line: str, words: str) -> None:
    message = refusal(host, (SENDMAIL_MC, MC_END, f"{line}\n{MC_END}"))
    assert words in message
    assert not host.machine.path("/tmp/ran").exists()


def test_a_program_hidden_from_the_eye_does_not_run(host: MailHost) -> None:
    """The name put together by m4 itself: the macro is gone, so this is only text."""
    hidden = "define(`head', `sys')dnl\nhead`'cmd(`touch /tmp/ran')dnl\n"
    tls = host.certificate()
    bundle = changed(host.bundle(tls), SENDMAIL_MC, MC_END, hidden + MC_END)
    number = host.stage(bundle, tls.key_id)
    try:
        host.ask("validate", generation=number)
    except HostError as error:
        assert error.code == "refused"
    assert not host.machine.path("/tmp/ran").exists()


def test_m4_without_end_is_ended(host: MailHost) -> None:
    endless = "define(`x', `x`'x`'x')x\n"
    assert "m4" in refusal(host, (SENDMAIL_MC, MC_END, endless + MC_END))


@pytest.mark.parametrize(
    "line",
    ["no_such_setting = 1", "service imap-login {", "mail_max_userip_connections = many"],
)
def test_a_bad_dovecot_setting(host: MailHost, line: str) -> None:
    message = refusal(host, (DOVECOT_23, "", line + "\n"), (DOVECOT_24, "", line + "\n"))
    assert "Dovecot refuses" in message


def test_passwords_in_the_log(host: MailHost) -> None:
    line = "auth_debug = yes\n"
    assert "passwords" in refusal(host, (DOVECOT_23, "", line), (DOVECOT_24, "", line))


def test_a_certificate_of_another_key(host: MailHost) -> None:
    other = host.ask("csr", names=[host.machine.fqdn])["key_id"]
    assert "not issued for this host's key" in refusal(host, key=other)


def test_an_expired_certificate(host: MailHost) -> None:
    tls = host.certificate(days=-1)
    number = host.stage(host.bundle(tls), tls.key_id)
    with pytest.raises(HostError, match="expired"):
        host.ask("validate", generation=number)


def test_a_certificate_for_another_name(host: MailHost) -> None:
    tls = host.certificate(name="other.example.test")
    number = host.stage(host.bundle(tls), tls.key_id)
    with pytest.raises(HostError, match="ostname mismatch"):
        host.ask("validate", generation=number)


def test_a_truncated_certificate(host: MailHost) -> None:
    tls = host.certificate()
    bundle = host.bundle(tls)
    cut = Bundle({**bundle.files, TLS_CHAIN: bundle.files[TLS_CHAIN][:200]})
    number = host.stage(cut, tls.key_id)
    with pytest.raises(HostError, match="cannot be read"):
        host.ask("validate", generation=number)


def test_a_key_that_others_may_read(host: MailHost) -> None:
    """Sendmail would silently do without STARTTLS: only the dialogue shows it."""
    tls = host.certificate()
    number = host.stage(host.bundle(tls), tls.key_id)
    key = f"{paths.STATE}/generations/{number}/tls/key.pem"
    host.machine.run(["chmod", "644", key])
    with pytest.raises(HostError, match="STARTTLS"):
        host.ask("validate", generation=number)
    host.machine.run(["rm", key])


def test_auth_in_clear(host: MailHost) -> None:
    assert "AUTH without TLS" in refusal(
        host,
        (SENDMAIL_MC, "define(`confAUTH_OPTIONS', `A p y')", "define(`confAUTH_OPTIONS', `A')"),
    )


def test_a_gate_that_stands_open(host: MailHost) -> None:
    """Without its ruleset anything at the domain would be accepted, and bounced later."""
    assert "does not exist" in refusal(host, (SENDMAIL_MC, "SLocal_check_rcpt", "SNever_called"))


def test_a_missing_map(host: MailHost) -> None:
    message = refusal(
        host, (SENDMAIL_MC, f"Kcansend hash -T<TMPF> {paths.MAPS}/cansend", "Kcansend hash /no/map")
    )
    assert "could not send" in message


def test_anybody_sending_as_anybody(host: MailHost) -> None:
    message = refusal(host, (SENDMAIL_MC, "SLocal_check_mail", "SNever_called"))
    assert "could send as" in message or "does not judge senders" in message


def test_a_base_that_moved(host: MailHost) -> None:
    tls = host.certificate()
    host.generation += 1
    try:
        with pytest.raises(HostError) as refused:
            host.stage(host.bundle(tls), tls.key_id)
    finally:
        host.generation -= 1
    assert refused.value.code == "base_moved"


def test_a_replayed_switch(host: MailHost) -> None:
    number, _ = host.prepare()
    host.ask("csr", names=[host.machine.fqdn])
    host.sequence -= 1
    with pytest.raises(HostError) as refused:
        host.switch(number)
    assert refused.value.code == "replayed"
