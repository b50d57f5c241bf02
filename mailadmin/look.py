"""A read-only look at the machine the console runs on: it reads /proc and certificate files.

Nothing is executed, written or connected to. The console runs as an ordinary user, so what only
root can read is not seen, and the page says so. Sources: proc(5), `/proc/net/tcp` in the kernel's
Documentation/networking/proc_net_tcp.rst (local address as hex, state 0A is LISTEN).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

# What a process is called in /proc/<pid>/comm, and what that is.
PROGRAMS = {
    "sendmail": "Sendmail", "sendmail-mta": "Sendmail", "sm-mta": "Sendmail",
    "master": "Postfix", "exim4": "Exim", "exim": "Exim",
    "dovecot": "Dovecot", "cyrus-master": "Cyrus", "saslauthd": "saslauthd",
}  # fmt: skip
PORTS = {
    25: "SMTP", 465: "SMTPS", 587: "Submission", 110: "POP3", 995: "POP3S", 143: "IMAP",
    993: "IMAPS", 4190: "ManageSieve",
}  # fmt: skip
CERTIFICATES = [
    "etc/mail/tls/*", "etc/mail/certs/*", "etc/postfix/*.pem", "etc/postfix/*.crt",
    "etc/dovecot/*.pem", "etc/dovecot/private/*.pem", "etc/dovecot/ssl/*",
    "etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/exim4/*.crt", "etc/letsencrypt/live/*/cert.pem",
]  # fmt: skip
LISTEN = "0A"
LARGEST = 256 * 1024


@dataclass(frozen=True)
class Listener:
    port: int
    service: str
    everywhere: bool  # on every address, or on loopback alone


@dataclass(frozen=True)
class FoundCertificate:
    path: str
    names: list[str]
    not_after: datetime

    def expired(self, at: datetime) -> bool:
        return self.not_after <= at


@dataclass(frozen=True)
class Look:
    programs: list[str]
    listeners: list[Listener]
    certificates: list[FoundCertificate]


def look(root: Path = Path("/")) -> Look:
    """What is there, below `root` (tests give a folder made for them)."""
    return Look(programs(root), listeners(root), certificates(root))


def programs(root: Path) -> list[str]:
    found = set()
    for path in (root / "proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text().strip()
        except OSError:  # it ended meanwhile
            continue
        if name not in PROGRAMS or in_a_container(path):
            continue
        if name != "master" or is_postfix(path):
            found.add(PROGRAMS[name])
    return sorted(found)


def in_a_container(comm: Path) -> bool:
    """A process with a pid namespace of its own has two ids in `NSpid` (proc_pid_status(5)): it
    belongs to a container, or to the practice host, not to this machine."""
    try:
        status = (comm.parent / "status").read_text()
    except OSError:
        return False
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return len(line.split()) > 2


def is_postfix(comm: Path) -> bool:
    """Postfix's and Cyrus's first processes are both called `master`."""
    try:
        return b"postfix" in (comm.parent / "cmdline").read_bytes()
    except OSError:
        return False


def listeners(root: Path) -> list[Listener]:
    found: dict[int, bool] = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (root / "proc/net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for port, everywhere in parse_listening(lines):
            found[port] = found.get(port, False) or everywhere
    return [Listener(port, PORTS[port], found[port]) for port in sorted(found) if port in PORTS]


def parse_listening(lines: Iterable[str]) -> Iterable[tuple[int, bool]]:
    """`0: 00000000:0019 00000000:0000 0A …` gives (25, True); 0100007F is 127.0.0.1."""
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != LISTEN:
            continue
        address, _, port = fields[1].rpartition(":")
        loopback = address.endswith("7F") if len(address) == 8 else address == "0" * 24 + "01000000"
        yield int(port, 16), not loopback


def certificates(root: Path) -> list[FoundCertificate]:
    found = []
    for pattern in CERTIFICATES:
        for path in sorted(root.glob(pattern)):
            certificate = read_certificate(path)
            if certificate is None:
                continue
            found.append(
                FoundCertificate(
                    "/" + str(path.relative_to(root)),
                    names_of(certificate),
                    certificate.not_valid_after_utc,
                )
            )
    return found


def read_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate of a PEM file; None for a key, a directory, or what cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        text = path.read_bytes()
        begin = text.find(b"-----BEGIN CERTIFICATE-----")
        return x509.load_pem_x509_certificate(text[begin:]) if begin >= 0 else None
    except (OSError, ValueError):
        return None


def names_of(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return names or [certificate.subject.rfc4514_string()]
