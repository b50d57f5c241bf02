"""A clock an hour off, either way, that is set in the middle; and a certificate that runs out."""

from __future__ import annotations

import ast
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy import carriage
from deploy.hostctl import certificates, deadman, generations, journal, services, switch
from deploy.hostctl.wire import Refused
from tests.faults.sides import managed, waiting, whole
from tests.hostctl.fakes import FakeHost

HOUR = 3600
HELPER = Path(switch.__file__).parent


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.mark.parametrize("off", [HOUR, -HOUR, 10 * 365 * 24 * HOUR])
def test_a_clock_set_while_it_waits_changes_no_deadline(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    waiting(host)
    set_clock(monkeypatch, off)
    told = switch.pending(host)
    assert told is not None and 590 < told["deadline"] <= 600
    assert not deadman._settled(host, 2)
    whole(host, 2)
    switch.confirm(host, generation=2)


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_silence_is_measured_by_what_has_really_passed(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    waiting(host)
    set_clock(monkeypatch, off)
    passed = journal.uptime() + 601
    monkeypatch.setattr(journal, "uptime", lambda: passed)
    assert deadman._settled(host, 2)
    whole(host, 1)


def test_the_wall_clock_is_only_told_and_decides_nothing() -> None:
    """Whoever adds another use of it has to think about a clock that is wrong."""
    found = set()
    for path in sorted(HELPER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("time", "now", "gmtime"):
                owner = node.value
                if isinstance(owner, ast.Name) and owner.id in ("time", "datetime"):
                    found.add(path.stem)
    assert found == {
        "certificates",  # told beside a certificate's dates
        "generations",  # files are older than Postfix would wait for
        "journal",  # when it was, for people
        "maps",  # a map that changed has to be newer than it was
        "policy", "sessions",  # whether a session is older than its end was asked for
        "switch",  # whether the certificate has expired
        "usage", "uses",  # when somebody was there
    }  # fmt: skip


def test_a_restart_that_takes_an_honest_minute_is_not_taken_for_silence(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unqualified host name costs Sendmail 59.7 s at every start: the deadline begins when the
    daemons are back, and the dead-man does not act while the switch is at work."""
    assert min(services.PATIENCE, carriage.DEADLINE_SECONDS) > 60
    managed(host)
    passed = 0.0
    uptime = journal.uptime
    for module in (journal, switch):
        monkeypatch.setattr(module, "uptime", lambda: uptime() + passed)

    def slow(*args: object) -> None:
        nonlocal passed
        passed += 60
        assert not deadman._settled(host.again(), 2), "he acted while it was at work"
        type(sendmail).reload(sendmail)

    sendmail = host.services["sendmail"]
    monkeypatch.setattr(sendmail, "reload", slow)
    with host.locked():
        switch.switch(host, generation=2, base=1, deadline=30)
    assert passed == 60
    told = switch.pending(host)
    assert told is not None and 29 < told["deadline"] <= 30
    whole(host, 2)


# --- certificates -------------------------------------------------------------------------------


def certify(folder: Path, begins: datetime, ends: datetime) -> None:
    """In `folder`/tls: a root's certificate for mail.example.test with these dates."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    key, ours = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    whenever = datetime.now(UTC)
    root = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(whenever - timedelta(days=9))
        .not_valid_after(whenever + timedelta(days=9))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    leaf = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(name)
        .public_key(ours.public_key()).serial_number(2)
        .not_valid_before(begins).not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("mail.example.test")]), critical=True
        ).sign(key, hashes.SHA256())
    )  # fmt: skip
    tls = folder / "tls"
    tls.mkdir(exist_ok=True)
    pem = serialization.Encoding.PEM
    (tls / "ca.pem").write_bytes(root.public_bytes(pem))
    (tls / "chain.pem").write_bytes(leaf.public_bytes(pem))
    (tls / "key.pem").unlink(missing_ok=True)
    (tls / "key.pem").write_bytes(
        ours.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.parametrize(
    ("begins", "ends", "why"),
    [(HOUR, 3 * HOUR, "not yet valid"), (-3 * HOUR, -HOUR, "expired")],
)
def test_a_certificate_on_a_host_whose_clock_is_wrong(
    host: FakeHost, tmp_path: Path, begins: float, ends: float, why: str
) -> None:
    """The refusal names both times, or nobody would think of the clock."""
    now = datetime.now(UTC)
    certify(tmp_path, now + timedelta(seconds=begins), now + timedelta(seconds=ends))
    with pytest.raises(Refused) as refused:
        certificates.check(host, tmp_path, "mail.example.test")
    said = refused.value.message
    assert why in said
    assert f"{now + timedelta(seconds=begins):%H:%M:%S %Y} GMT to" in said
    assert f"this host's clock says {now:%b %d %H:}" in said


def test_a_certificate_that_expires_between_validation_and_switch(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed(host)
    folder = host.layout.generation(2)
    now = datetime.now(UTC)
    certify(folder, now - timedelta(hours=1), now + timedelta(minutes=1))
    said = certificates.check(host, folder, "mail.example.test")
    values = generations.manifest(host, 2)
    assert values is not None
    ends = certificates.not_after(said)
    assert abs(ends - time.time() - 60) < 5
    generations.write_manifest(host, folder, {**values, "not_after": ends})
    with monkeypatch.context() as patched:
        set_clock(patched, 61)
        with pytest.raises(Refused, match="expired since it was checked") as refused:
            switch.switch(host, generation=2, base=1, deadline=60)
        assert refused.value.code == "not_validated"
        whole(host, 1)
    switch.switch(host, generation=2, base=1, deadline=60)
    # Going back is never refused: the other generation's certificate may be no better.
    set_clock(monkeypatch, 61)
    switch.rollback(host, generation=2)
    whole(host, 1)
