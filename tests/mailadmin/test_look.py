"""The look at this server reads; it is right about what it reads, and about nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mailadmin import look

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:024B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   2: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   3: 0100007F:008F 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0
"""
TCP6 = """  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:03E1 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:024B 00000000000000000000000000000000:0000 0A
"""


def machine(folder: Path) -> Path:
    (folder / "proc/net").mkdir(parents=True)
    (folder / "proc/net/tcp").write_text(TCP)
    (folder / "proc/net/tcp6").write_text(TCP6)
    for pid, comm, cmdline in [
        (10, "sendmail-mta", b"sendmail: accepting"),
        (11, "dovecot", b"/usr/sbin/dovecot"),
        (12, "master", b"/usr/lib/cyrus/master"),
        (13, "bash", b"bash"),
        (14, "exim4", b"/usr/sbin/exim4"),
    ]:
        (folder / f"proc/{pid}").mkdir()
        (folder / f"proc/{pid}/comm").write_text(comm + "\n")
        (folder / f"proc/{pid}/cmdline").write_bytes(cmdline)
        inner = "\t7" if comm == "exim4" else ""  # in a container
        (folder / f"proc/{pid}/status").write_text(f"Name:\t{comm}\nNSpid:\t{pid}{inner}\n")
    return folder


def certificate(not_after: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old.example.test")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(not_after - timedelta(days=90))
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mail.example.test")]), False)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM)


def test_programs_and_ports(tmp_path):
    found = look.look(machine(tmp_path))
    assert found.programs == ["Dovecot", "Sendmail"]  # a `master` that is not Postfix is none
    assert [(item.port, item.service, item.everywhere) for item in found.listeners] == [
        (25, "SMTP", True),
        (587, "Submission", False),
        (993, "IMAPS", True),
    ]


def test_certificates_and_what_is_none(tmp_path):
    end = datetime(2026, 5, 1, tzinfo=UTC)
    folder = machine(tmp_path) / "etc/dovecot"
    folder.mkdir(parents=True)
    (folder / "cert.pem").write_bytes(b"comment\n" + certificate(end))
    (folder / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nx\n")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    (folder / "folder.pem").mkdir()
    (item,) = look.look(tmp_path).certificates
    assert item.path == "/etc/dovecot/cert.pem"
    assert item.names == ["mail.example.test"]
    assert item.expired(end) and not item.expired(end - timedelta(seconds=1))


def test_an_empty_machine_is_no_error(tmp_path):
    assert look.look(tmp_path) == look.Look([], [], [])


def test_the_page_needs_no_root(signed_in):
    assert signed_in.get("/welcome/look/").status_code == 200
