"""Whether one user's wrong passwords slow another's login: `./run manage bench bridge`, as root.

    the bridge, a login                  0.013 s, slowest  0.030 s
      beside four wrong ones             0.014 s, slowest  0.040 s  budget 0.113 s
      beside 16 who guess                0.014 s, slowest  0.060 s
      guesses checked for one account      0.40 a second
      logins of one user, 8 at once       89.0 a second
    on 587, a session with a login       0.050 s, slowest  0.060 s
      beside four wrong ones             0.050 s, slowest  0.108 s  budget 0.150 s
    saslauthd -a rimap, a login          0.026 s, slowest  0.030 s
      beside four wrong ones             0.030 s, slowest  4.034 s  budget 0.126 s

A practice host with our configuration, live: real Sendmail, Dovecot and bridge, hashes as the
console makes them. saslauthd (Debian's sasl2-bin, fetched with `apt-get download` and unpacked into
that host alone) is what Sendmail would ask without the bridge. About two minutes.
"""

from __future__ import annotations

import json
import os
import smtplib
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import ca_console

SECONDS = 20
DRIVER = Path(__file__).with_name("bridge_driver.py")
MUX = "/run/saslauthd/mux"
SASLAUTHD = ("/usr/sbin/saslauthd", "-a", "rimap", "-O", "127.0.0.1", "-r", "-n", "5")


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("bridge")


def main() -> None:
    if os.geteuid() != 0:
        raise SystemExit("the practice host needs root")
    from deploy.practice import Machine
    from tests.live.rendered import Deployed

    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-", dir="/tmp") as folder:
        machine = Machine.create(Path(folder) / "host", "bookworm", "mail1.example.test")
        try:
            machine.start(leash=True)
            host = Deployed(machine)
            _accounts(host)
            host.deploy()
            _ours(host)
            _on_587(host)
            _peer(host, Path(folder))
        finally:
            machine.destroy()


def say(name: str, words: str) -> None:
    print(f"{name:36} {words}", flush=True)  # noqa: T201 - it is a command


def _accounts(host: Any) -> None:
    from accounts.hashing import hash_password
    from tests.live.rendered import DOMAIN, PASSWORD, mailbox

    hashed = hash_password(PASSWORD)
    boxes = [mailbox(f"{name}@{DOMAIN}", password=hashed) for name in ("alice", "bob")]
    host.accounts({"domain": {"name": DOMAIN}}, *boxes)


def _ours(host: Any) -> None:
    from deploy.hostctl import paths

    _told("the bridge", _driven(host, paths.BRIDGE_SOCKET))


def _driven(host: Any, path: str) -> dict[str, float]:
    from tests.live.rendered import PASSWORD

    host.machine.path("/srv/driver.py").write_bytes(DRIVER.read_bytes())
    argv = ["python3", "/srv/driver.py", path, PASSWORD, str(SECONDS)]
    found: dict[str, float] = json.loads(host.machine.run(argv, timeout=300).stdout)
    return found


def _told(who: str, found: dict[str, Any]) -> None:
    budget = f"  budget {found['alone'][0] + 0.1:.3f} s"
    say(f"{who}, a login", _spread(found["alone"]))
    say("  beside four wrong ones", _spread(found["beside"]) + budget)
    say("  beside 16 who guess", _spread(found["beside_guessing"]))
    say("  guesses checked for one account", f"{found['guesses']:6.2f} a second")
    say("  logins of one user, 8 at once", f"{found['logins']:6.1f} a second")


def _spread(found: list[float]) -> str:
    return f"{found[0]:6.3f} s, slowest {found[1]:6.3f} s"


def _on_587(host: Any) -> None:
    def log_in(_number: int = 0) -> float:
        began = time.perf_counter()
        host.signed_in("bob@example.test").close()
        return time.perf_counter() - began

    def four_wrong() -> None:
        for _ in range(4):
            try:
                host.signed_in("alice@example.test", password="wrong").close()
            except smtplib.SMTPAuthenticationError:
                continue
            raise SystemExit("a wrong password was taken")

    alone = sorted(map(log_in, range(11)))[:-1]
    wrong = threading.Thread(target=four_wrong)
    wrong.start()
    beside = []
    while wrong.is_alive():
        beside.append(log_in())
        time.sleep(0.3)  # below what one address may open a minute
    say("on 587, a session with a login", _spread([statistics.median(alone), alone[-1]]))
    found = _spread([statistics.median(beside), max(beside)])
    say("  beside four wrong ones", f"{found}  budget {statistics.median(alone) + 0.1:.3f} s")


def _peer(host: Any, folder: Path) -> None:
    """saslauthd with the same Dovecot behind it, on a socket of its own."""
    package = _fetched(folder)
    if package is None:
        say("saslauthd -a rimap", "cannot be fetched here")
        return
    root = host.machine.path("/")
    subprocess.run(["dpkg-deb", "-x", package, str(root)], check=True)
    host.run("mkdir", "-p", "/run/saslauthd")
    host.run(*SASLAUTHD, "-m", "/run/saslauthd")
    _told("saslauthd -a rimap", _driven(host, MUX))


def _fetched(folder: Path) -> Path | None:
    debs = folder / "debs"
    debs.mkdir()
    done = subprocess.run(
        ["apt-get", "-q", "download", "sasl2-bin"], cwd=debs, capture_output=True, check=False
    )
    return next(debs.glob("*.deb"), None) if done.returncode == 0 else None


if __name__ == "__main__":
    main()
