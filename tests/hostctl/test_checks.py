from pathlib import Path

import pytest

from deploy.hostctl import certificates, checks, dialogue, paths
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost, authority, openssl

NAME = "mail.example.test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A generation with a good certificate, the root beside it."""
    made = tmp_path / "generation"
    for name in ("tls", "sendmail", "dovecot"):
        (made / name).mkdir(parents=True)
    authority(tmp_path)
    openssl(tmp_path, "ecparam -name prime256v1 -genkey -noout -out generation/tls/key.pem")
    (made / "tls/ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    issue(tmp_path)
    return made


def issue(tmp_path: Path, *, name: str = NAME, days: int = 30, key: str = "generation/tls/key.pem",
          usage: str = "serverAuth") -> None:  # fmt: skip
    (tmp_path / "ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage={usage}\n")
    openssl(tmp_path, f"req -new -key {key} -subj /CN={name} -out request.pem")
    openssl(
        tmp_path, f"x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days {days}"
        " -extfile ext -out generation/tls/chain.pem",
    )  # fmt: skip


def refusal(host: FakeHost, folder: Path, name: str = NAME) -> str:
    with pytest.raises(Refused) as refused:
        certificates.check(host, folder, name)
    assert refused.value.code == "refused"
    return refused.value.message


def test_a_good_certificate_passes(host: FakeHost, folder: Path) -> None:
    assert NAME in certificates.check(host, folder, NAME)


def test_a_certificate_of_another_key(host: FakeHost, folder: Path, tmp_path: Path) -> None:
    openssl(tmp_path, "ecparam -name prime256v1 -genkey -noout -out other.pem")
    issue(tmp_path, key="other.pem")
    assert "not issued for this host's key" in refusal(host, folder)


def test_an_expired_certificate(host: FakeHost, folder: Path, tmp_path: Path) -> None:
    issue(tmp_path, days=-1)
    assert "expired" in refusal(host, folder)


def test_a_certificate_for_another_name(host: FakeHost, folder: Path) -> None:
    assert "ostname mismatch" in refusal(host, folder, "other.example.test")


def test_a_certificate_of_another_authority(host: FakeHost, folder: Path, tmp_path: Path) -> None:
    authority(tmp_path)
    (folder / "tls/ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    refusal(host, folder)


def test_a_certificate_that_is_not_for_servers(
    host: FakeHost, folder: Path, tmp_path: Path
) -> None:
    issue(tmp_path, usage="clientAuth")
    assert "purpose" in refusal(host, folder)


@pytest.mark.parametrize("file", ["tls/chain.pem", "tls/key.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_truncated_files(host: FakeHost, folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)
    refusal(host, folder)


def test_no_certificate_at_all(host: FakeHost, folder: Path) -> None:
    (folder / "tls/chain.pem").unlink()
    assert refusal(host, folder) == "The generation has no certificate."


@pytest.mark.parametrize(
    "line",
    ["syscmd(`id')", "define(`x', esyscmd(`id'))dnl", "builtin(`syscmd', `id')", "indir(`syscmd')"],
)
def test_macros_that_run_programs_are_refused(folder: Path, line: str) -> None:
    (folder / "sendmail/sendmail.mc").write_text(f"dnl fine\n{line}\n")
    with pytest.raises(Refused, match=r"line 2 uses the macro"):
        checks.text(folder)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("auth_debug = yes", False),
        ("  auth_debug_passwords=yes", False),
        ("auth_verbose_passwords = plain", False),
        ("auth_debug = no", True),
        ("# auth_debug = yes", True),
        ("auth_verbose = yes", True),
        ("log_debug = category=auth", False),
        ("log_debug = category=mail", True),
    ],
)
def test_passwords_do_not_reach_the_log(folder: Path, text: str, good: bool) -> None:
    (folder / "sendmail/sendmail.mc").write_text("")
    (folder / "dovecot/dovecot24.conf").write_text(f"protocols = imap\n{text}\n")
    if good:
        checks.text(folder)
    else:
        with pytest.raises(Refused, match="writes passwords to the log"):
            checks.text(folder)


SOCKET = f"saslauthd_path: {paths.BRIDGE_SOCKET}\n"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f"pwcheck_method: saslauthd\n{SOCKET}mech_list: PLAIN LOGIN\n", True),
        (f"pwcheck_method: saslauthd\n{SOCKET}", False),
        (f"pwcheck_method: auxprop\n{SOCKET}mech_list: PLAIN\n", False),
        ("pwcheck_method: saslauthd\nmech_list: PLAIN\n", False),
        (f"pwcheck_method: saslauthd\n{SOCKET}mech_list: CRAM-MD5\n", False),
    ],
)
def test_sasl_asks_the_bridge(host: FakeHost, folder: Path, text: str, good: bool) -> None:
    (folder / "sendmail/Sendmail.conf").write_text(text)
    if good:
        checks.sasl(host, folder)
    else:
        with pytest.raises(Refused):
            checks.sasl(host, folder)


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script.sh"
    path.write_text(text)
    return ["/bin/sh", str(path)]


def test_a_dialogue_waits_for_each_reply(tmp_path: Path) -> None:
    argv = script(
        tmp_path, "printf '220-a\\r\\n220 b\\r\\n'; read line; echo \"250 $line\"; read line",
    )  # fmt: skip
    with dialogue.Dialogue(argv, patience=5) as smtp:
        assert smtp.greeting() == (220, ["220-a", "220 b"])
        code, lines = smtp.say("EHLO x")
        assert code == 250 and lines[0].startswith("250 EHLO x")


def test_a_program_that_dies_is_quoted(tmp_path: Path) -> None:
    argv = script(tmp_path, "echo 'unknown mailer' >&2; exit 70")
    with dialogue.Dialogue(argv, patience=5) as smtp, pytest.raises(Refused, match="unknown mail"):
        smtp.greeting()


def test_a_program_that_hangs_is_left(tmp_path: Path) -> None:
    argv = script(tmp_path, "exec sleep 60")
    with dialogue.Dialogue(argv, patience=0.3) as smtp, pytest.raises(Refused, match="in time"):
        smtp.greeting()
