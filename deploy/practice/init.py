"""Process 1 of a practice host: collects the dead, keeps the log and sshd running, answers DNS.

Run by the root's own Python; standard library alone, Python 3.11 and later. It is started anew with
every start of the host, so a new version of the console brings its own.

Mail daemons are not its business: the host's helper starts them, and `hostctl recover` brings them
back after a start, as the boot unit does on a system with systemd.

The resolver exists because Sendmail refuses a sender whose domain does not resolve, and defers when
no name server answers. There is no network in here, so this one knows every name: the host's own
is the host, any other is the far end of the cable, where nobody listens on port 25; names below
`.invalid` do not exist (RFC 6761), and neither do addresses asked of blocklists.
"""

import os
import resource
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

HOSTCTL = Path("/usr/local/lib/mailadmin/hostctl")
READY = Path("/run/practice/ready")
A, PTR, AAAA, ANY = 1, 12, 28, 255
NXDOMAIN = 3


# --- names ---------------------------------------------------------------------------------------


def answer(query: bytes, fqdn: str, host: str, console: str, foreign: str) -> bytes:
    """The reply to one DNS query (RFC 1035 section 4); empty for what is none."""
    if len(query) < 17 or query[2] & 0xF8 or struct.unpack("!H", query[4:6])[0] != 1:
        return b""
    labels, position = [], 12
    while query[position]:
        length = query[position]
        if length > 63 or position + length + 6 > len(query):
            return b""
        labels.append(query[position + 1 : position + 1 + length].decode("latin-1").lower())
        position += length + 1
    question = query[12 : position + 5]
    kind = struct.unpack("!H", query[position + 1 : position + 3])[0]
    pointers = {host: fqdn, console: "console.practice.example", foreign: "elsewhere.example"}
    addresses = {fqdn.lower(): host, "console.practice.example": console, "localhost": "127.0.0.1"}
    name, code, data = ".".join(labels), 0, b""
    if name.endswith((".in-addr.arpa", ".ip6.arpa")):
        pointer = pointers.get(".".join(reversed(labels[:4])))
        code = 0 if pointer else NXDOMAIN
        if pointer and kind in (PTR, ANY):
            data = b"".join(bytes([len(p)]) + p.encode() for p in pointer.split(".")) + b"\0"
            kind = PTR
    elif labels[-1:] == ["invalid"] or (len(labels) > 4 and all(p.isdigit() for p in labels[:4])):
        code = NXDOMAIN
    elif kind in (A, ANY):
        data, kind = socket.inet_aton(addresses.get(name, foreign)), A
    flags = 0x8580 | (query[2] & 1) << 8 | code
    header = query[:2] + struct.pack("!HHHHH", flags, 1, bool(data), 0, 0)
    if data:
        data = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
    return header + question + data


def serve_names(udp: socket.socket) -> None:
    names = [os.environ[f"PRACTICE_{part}"] for part in ("FQDN", "HOST", "CONSOLE", "FOREIGN")]
    try:
        while True:
            query, client = udp.recvfrom(4096)
            if reply := answer(query, *names):
                udp.sendto(reply, client)
    except (BlockingIOError, IndexError):
        return


# --- services ------------------------------------------------------------------------------------


class Services:
    """The log and sshd; started again when they end, not more than once a second."""

    def __init__(self) -> None:
        self.commands = {
            "rsyslogd": ["/usr/sbin/rsyslogd", "-n", "-iNONE"],
            "sshd": ["/usr/sbin/sshd", "-D", "-e"],
        }
        self.running: dict[int, str] = {}
        self.next_start = 0.0

    def start_missing(self) -> None:
        missing = set(self.commands) - set(self.running.values())
        now = time.monotonic()
        if not missing or now < self.next_start:
            return
        self.next_start = now + 1.0
        for name in sorted(missing):
            process = subprocess.Popen(self.commands[name], stdin=subprocess.DEVNULL)
            self.running[process.pid] = name

    def collect(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.running.pop(pid, None)


def prepare() -> None:
    for directory in ("/run/sshd", "/run/sendmail/mta", "/run/sendmail/msp"):
        Path(directory).mkdir(parents=True, exist_ok=True)
    # Debian makes these at boot from tmpfiles.d; there is no systemd here.
    subprocess.run(["chown", "smmta:smmsp", "/run/sendmail/mta"], check=False)
    subprocess.run(["chown", "smmsp:smmsp", "/run/sendmail/msp"], check=False)
    key = Path("/etc/ssh/ssh_host_ed25519_key")
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)


def wait_for(path: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not os.path.exists(path) and time.monotonic() < end:  # noqa: PTH110
        time.sleep(0.01)


def main() -> None:
    wakeup, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # As Dovecot's unit does where there is systemd; the console's own limit may be small.
    most = min(65535, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.bind(("127.0.0.1", 53))
    prepare()
    services = Services()
    services.start_missing()
    wait_for("/dev/log", 5)
    if HOSTCTL.exists():
        # Not waited for: sshd must answer even when the mail daemons do not come back. The names
        # they ask for are answered from the loop below.
        subprocess.Popen(["/usr/bin/python3", "-I", str(HOSTCTL), "recover"])
    READY.touch()
    watched = [wakeup, udp.fileno()]
    leash = os.environ.pop("PRACTICE_LEASH", "")
    watched += [int(leash)] if leash else []
    while not stopping:
        readable, _, _ = select.select(watched, [], [], 1.0)
        if leash and int(leash) in readable:  # closed: who started us has ended
            break
        if wakeup in readable:
            os.read(wakeup, 4096)
        if udp.fileno() in readable:
            serve_names(udp)
        services.collect()
        services.start_missing()
    shut_down()


def shut_down() -> None:
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)):
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.01)
            except ChildProcessError:
                return


if __name__ == "__main__":
    main()
