"""Making a Debian root: the tool, its arguments, its progress, and what is settled afterwards.

The build runs in namespaces of its own: with a qualified host name, because Sendmail's installation
asks for one and waits a minute when there is none, and with its own process ids, so that nothing
which a package starts outlives it. A policy-rc.d forbids packages to start anything, during the
build and for good: there is no service manager in there.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.practice.errors import PracticeError

RECIPE = "3"  # raise it when something in this file changes what comes out

MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

HOSTS = "127.0.0.1 localhost\n127.0.1.1 build.example.test build\n"
POLICY = "#!/bin/sh\n# There is no service manager in here: packages may start nothing.\nexit 101\n"
APT = 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n'
DPKG = (
    "path-exclude=/usr/share/man/*\n"
    "path-exclude=/usr/share/doc/*\n"
    "path-include=/usr/share/doc/*/copyright\n"
    "path-exclude=/usr/share/locale/*\n"
)
SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM no
UseDNS no
X11Forwarding no
"""

Progress = Callable[[str, float], None]

# What mmdebstrap says when it begins something, our name for the step, and where its bar begins.
STEPS = (
    ("I: running apt-get update", "update", 0.02),
    ("I: downloading packages with apt", "download", 0.05),
    ("I: extracting archives", "extract", 0.12),
    ("I: installing essential packages", "base", 0.17),
    ("I: installing remaining packages", "packages", 0.30),
    ("I: cleaning package lists", "clean", 0.97),
)
# Packages unpacked or set up after the base system: about two lines for each of 130.
EXPECTED_LINES = 260


def architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def build(
    release: str, packages: Iterable[str], target: Path, progress: Progress, *, tool: str = ""
) -> None:
    """Make the root in `target`, which does not exist yet. Raises PracticeError."""
    tool = ensure_tool(progress, tool)
    log = target.parent / f"build-{release}.log"
    release = release.partition("-")[0]
    script = (mmdebstrap if tool == "mmdebstrap" else debootstrap)(release, packages, target)
    # Nothing of it may outlive the console that asked for it.
    command = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    _follow([*command, "sh", "-euc", script], log, progress)
    progress("settle", 0.98)
    settle(target)
    progress("ready", 1.0)


def sources(release: str) -> list[str]:
    mirror, security = mirrors()
    return [
        f"deb {mirror} {release} main",
        f"deb {mirror} {release}-updates main",
        f"deb {security} {release}-security main",
    ]


def mirrors(apt: Path = Path("/etc/apt")) -> tuple[str, str]:
    """The Debian mirrors this machine is configured for, else Debian's own."""
    text = "\n".join(
        path.read_text(errors="replace")
        for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
        if path.is_file() and path.suffix in (".list", ".sources")
    )
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    found = re.findall(r"\bhttps?://[^\s\]]+", text)
    plain = [url for url in found if re.search(r"/debian/?$", url)]
    security = [url for url in found if re.search(r"/debian-security/?$", url)]
    return (plain or [MIRROR])[0], (security or [SECURITY])[0]


def proxy() -> list[str]:
    """apt's configured proxies: the builders do not read this machine's apt configuration."""
    dump = subprocess.run(
        ["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"],
        capture_output=True,
        text=True,
    )
    wanted = re.compile(r'Acquire::https?::Proxy "[^"]+";')
    return [line for line in dump.stdout.splitlines() if wanted.fullmatch(line)]


def ensure_tool(progress: Progress, tool: str = "") -> str:
    wanted = [tool] if tool else ["mmdebstrap", "debootstrap"]
    missing = [] if KEYRING.exists() else ["debian-archive-keyring"]
    here = next((name for name in wanted if shutil.which(name)), "")
    if here and not missing:
        return here
    progress("tools", 0.0)
    if not here:
        missing.insert(0, wanted[0])
    if not shutil.which("apt-get"):
        raise PracticeError(
            "no_tool", f"{wanted[0]} is missing and this is no Debian or Ubuntu: install it first."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Nothing that is on this machine may be removed for it.
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-remove"]
    install += ["--no-install-recommends", *missing]
    update = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "update", "--quiet"]
    done = subprocess.run(install, env=environment, capture_output=True, text=True)
    if done.returncode:
        subprocess.run(update, env=environment, capture_output=True, text=True)
        done = subprocess.run(install, env=environment, capture_output=True, text=True)
    if done.returncode:
        command = f"apt-get install {' '.join(missing)}"
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PracticeError("no_tool", f"“{command}” failed: {last}")
    return here or wanted[0]


def mmdebstrap(release: str, packages: Iterable[str], target: Path) -> str:
    def write(path: str, text: str, mode: str) -> str:
        """A hook for mmdebstrap that writes a file into the root."""
        return f'printf %s {shlex.quote(text)} > "$1{path}"; chmod {mode} "$1{path}"'

    command = ["mmdebstrap", "--verbose", "--mode=root", "--variant=minbase", "--format=directory"]
    command += [f"--keyring={KEYRING}", f"--include={','.join(packages)}"]
    command += [f"--aptopt={line}" for line in [*APT.splitlines(), *proxy()]]
    command += [f"--dpkgopt={line}" for line in DPKG.splitlines()]
    command += ["--essential-hook=" + write("/etc/hosts", HOSTS, "0644")]
    command += [release, str(target), *sources(release)]
    return "hostname build.example.test\nexec " + shlex.join(command)


def debootstrap(release: str, packages: Iterable[str], target: Path) -> str:
    """The same in three steps: the base, then Debian's updates, then the packages."""
    root = shlex.quote(str(target))
    mirror, _ = mirrors()
    base = ["debootstrap", "--variant=minbase", f"--keyring={KEYRING}", release]

    def write(path: str, text: str, mode: str = "0644") -> str:
        return f"printf %s {shlex.quote(text)} > {root}{path}; chmod {mode} {root}{path}"

    apt = f"chroot {root} env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get --yes"
    return "\n".join(
        [
            "hostname build.example.test",
            f'echo "{STEPS[1][0]}"',
            f"{shlex.join(base)} {root} {shlex.quote(mirror)}",
            write("/etc/hosts", HOSTS),
            write("/etc/apt/sources.list", "\n".join([*sources(release), ""])),
            write("/etc/apt/apt.conf.d/99practice", "\n".join([APT, *proxy(), ""])),
            write("/etc/dpkg/dpkg.cfg.d/99practice", DPKG),
            write("/usr/sbin/policy-rc.d", POLICY, "0755"),
            f"cp -L /etc/resolv.conf {root}/etc/resolv.conf",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            f'echo "{STEPS[4][0]}"',
            f"{apt} update",
            f"{apt} upgrade",
            f"{apt} install {shlex.join(packages)}",
            f'echo "{STEPS[5][0]}"',
            f"{apt} clean",
            f"rm -rf {root}/var/lib/apt/lists/*",
        ]
    )


def _follow(command: list[str], log: Path, progress: Progress) -> None:
    """Run the builder, turn its lines into progress, keep them in `log`."""
    tail: deque[str] = deque(maxlen=400)
    step, begin, end, lines = "update", 0.0, 0.05, 0
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")},
    }
    with (
        log.open("w") as record,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd="/",
        ) as builder,
    ):
        assert builder.stdout is not None
        try:
            for line in builder.stdout:
                record.write(line)
                tail.append(line.rstrip())
                for position, (words, name, fraction) in enumerate(STEPS):
                    if words in line:
                        step, begin, lines = name, fraction, 0
                        end = (*(s[2] for s in STEPS), 0.98)[position + 1]
                        progress(step, begin)
                if line.startswith(("Get:", "Unpacking ", "Setting up ")):
                    lines += 1
                    expected = EXPECTED_LINES if step == "packages" else 120
                    progress(step, begin + (end - begin) * min(1.0, lines / expected))
        except BaseException:
            builder.kill()
            raise
    if builder.returncode:
        raise _failure(list(tail), log)


def _failure(tail: list[str], log: Path) -> PracticeError:
    text = "\n".join(tail)
    if re.search(
        r"Could not resolve|Temporary failure resolving|Unable to connect|"
        r"Connection timed out|Couldn't download|Failed getting release",
        text,
    ):
        mirror, _ = mirrors()
        return PracticeError(
            "mirror", f"The Debian mirror {mirror} could not be reached; the log is {log}."
        )
    if re.search(r"NO_PUBKEY|not signed|invalid signature|unknown key", text):
        return PracticeError(
            "keyring",
            "Debian's signature could not be checked: upgrade the package debian-archive-keyring; "
            f"the log is {log}.",
        )
    if "No space left on device" in text:
        return PracticeError("disk", f"The disk is full: {log.parent} needs 1 GB.")
    errors = [line for line in tail if line.startswith(("E: ", "W: Failure"))]
    reason = (errors or tail or ["it said nothing"])[0]
    return PracticeError("build", f"Debian could not be installed: {reason} (the log is {log}).")


def settle(root: Path) -> None:
    """What must be true of every instance; the rest is the instance's own."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each instance makes its own
    (root / "etc/ssh/sshd_config.d/practice.conf").write_text(SSHD)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(POLICY)
    policy.chmod(0o755)
    rsyslog = root / "etc/rsyslog.conf"
    # The kernel's log is the machine's, not the practice host's.
    text = rsyslog.read_text()
    rsyslog.write_text(re.sub(r"^module\(load=.imklog.\)", r"# \g<0>", text, flags=re.M))
    for name in ("etc/hostname", "etc/resolv.conf", "etc/hosts"):
        (root / name).unlink(missing_ok=True)
    for log in (root / "var/log").glob("**/*.log"):
        log.unlink()
