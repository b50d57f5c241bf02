import subprocess

import pytest

from ca import csr as console
from deploy.hostctl import keys
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_a_key_named_by_what_it_is(host: FakeHost, kind: str) -> None:
    made = keys.csr(host, names=["mail.example.test", "mx.example.test"], kind=kind)
    path = host.layout.keys / f"{made['key_id']}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in made["csr"]
    shown = subprocess.run(
        ["openssl", "req", "-noout", "-text", "-verify"], input=made["csr"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 0
    assert "DNS:mail.example.test, DNS:mx.example.test" in shown.stdout
    assert not list(host.layout.keys.glob(".*")), "nothing is left beside it"


def test_the_console_accepts_the_request(host: FakeHost) -> None:
    made = keys.csr(host, names=["mail.example.test"], kind="p256")
    assert hasattr(console, "parse")
    parsed = console.parse(made["csr"].encode())
    assert "mail.example.test" in str(parsed)


def test_a_name_too_long_for_a_subject_is_in_the_extension_alone(host: FakeHost) -> None:
    name = "a" * 60 + "." + "b" * 60 + ".example.test"
    made = keys.csr(host, names=[name], kind="p256")
    shown = subprocess.run(
        ["openssl", "req", "-noout", "-text", "-subject"], input=made["csr"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"DNS:{name}" in shown and "CN" not in shown


@pytest.mark.parametrize(
    "names",
    [
        [],
        "mail.example.test",
        [""],
        ["mail.example.test\nsubjectAltName = DNS:evil.test"],
        ["mail.example.test, DNS:evil.test"],
        ["/etc/passwd"],
        ["Mail.example.test"],
        ["a" * 64 + ".test"],
        [None],
        ["x.test"] * 101,
    ],
)
def test_what_is_no_host_name_is_refused(host: FakeHost, names: object) -> None:
    with pytest.raises(Refused) as refused:
        keys.csr(host, names=names, kind="p256")
    assert refused.value.code == "bad_request"


def test_unknown_kinds_are_refused(host: FakeHost) -> None:
    with pytest.raises(Refused):
        keys.csr(host, names=["mail.example.test"], kind="dsa")
