"""Start a practice host's first process; run as a program of its own, standard library alone.

    python -I launch.py  < {"image": …, "root": …, "upper": …, "work": …, "fqdn": …, …}
    → {"pid": 4711, "started": 123456}  or  {"error": "…"}

Its child makes the namespaces and ends; the grandchild is process 1 in there. It mounts what a
system needs, lays the cable, gives up every capability that reaches beyond its namespaces, and
becomes `init.py`, run by the root's own Python. All mounts are in the host's own mount namespace
and its end of the cable in its network namespace: both go when its last process goes, however that
happens, and take the console's end with them.

Source: unshare(2), pid_namespaces(7), pivot_root(2), the kernel's Documentation/filesystems/
overlayfs.rst, capabilities(7).
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_CAPBSET_DROP = 24
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot
# audit_write setfcap: what mail daemons, sshd, sudo and dpkg need. Nothing that reaches devices,
# mounts, modules, other namespaces or files by handle.
CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
READ_ONLY = ("sys", "bus", "fs", "irq", "sysrq-trigger")
HIDDEN = ("kcore", "keys", "timer_list", "acpi", "scsi")

PATHS = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, data.encode())
    checked(libc.mount(*arguments), f"mount {target}")


def main() -> int:
    order = json.load(sys.stdin)
    try:
        print(json.dumps(launch(order)), flush=True)  # noqa: T201 its result
    except (OSError, RuntimeError) as failure:
        print(json.dumps({"error": str(failure)}), flush=True)  # noqa: T201
        return 1
    return 0


def launch(order: dict[str, Any]) -> dict[str, Any]:
    pid_read, pid_write = os.pipe()
    fault_read, fault_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.setsid()
            outside = os.open("/proc/self/ns/net", os.O_RDONLY)
            checked(libc.unshare(NAMESPACES), "unshare")
            first = os.fork()
            if first:
                os.write(pid_write, str(first).encode())
                os._exit(0)
            become_first(order, outside)
        except BaseException as failure:  # noqa: BLE001 the parent must hear of it
            os.write(fault_write, str(failure).encode())
        os._exit(1)
    os.close(pid_write)
    os.close(fault_write)
    os.waitpid(middle, 0)
    pid = os.read(pid_read, 32).decode()
    fault = b""
    while piece := os.read(fault_read, 4096):  # closed by exec
        fault += piece
    if fault:
        raise RuntimeError(fault.decode())
    if order.get("probe"):
        return {}
    return {"pid": int(pid), "started": start_time(int(pid))}


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def lay_cable(order: dict[str, Any], outside: int) -> None:
    """Both ends and their addresses, with the root's own tools: this machine may have none.

    `outside` is this machine's network namespace.
    """

    def inside(*arguments: str) -> None:
        run(["ip", *arguments])

    def beyond(*arguments: str) -> None:
        run(["nsenter", f"--net=/proc/self/fd/{outside}", "ip", *arguments])

    def run(command: list[str]) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, env=PATHS, pass_fds=(outside,)
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")

    name = order["interface"]
    peer = ("peer", "name", name, "netns", f"/proc/self/fd/{outside}")
    inside("link", "add", "eth0", "type", "veth", *peer)
    beyond("address", "add", f"{order['console']}/30", "dev", name)
    beyond("address", "add", f"{order['foreign']}/32", "dev", name)
    beyond("link", "set", name, "up")
    inside("link", "set", "lo", "up")
    inside("address", "add", f"{order['host']}/30", "dev", "eth0")
    inside("link", "set", "eth0", "up")
    inside("route", "add", f"{order['foreign']}/32", "via", order["console"])


def become_first(order: dict[str, Any], outside: int) -> None:
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    if order.get("probe") == "namespaces":
        mount("proc", "/proc", "proc")
        os._exit(0)
    root = order["root"]
    if order["overlay"]:
        layers = f"lowerdir={order['image']},upperdir={order['upper']},workdir={order['work']}"
        mount("overlay", root, "overlay", data=layers)
    else:
        mount(root, root, flags=MS_BIND)
    if order.get("probe"):
        Path(root, ".probe").write_text("")
        os._exit(0)
    os.umask(0o022)
    libc.sethostname(order["fqdn"].encode(), len(order["fqdn"]))
    make_dev(Path(root, "dev"))
    mount("tmpfs", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m")
    scratch = os.path.join(root, "tmp")  # noqa: PTH118
    mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=256m")
    Path(root, "run/lock").mkdir(mode=0o1777)
    Path(root, "run/lock").chmod(0o1777)
    Path(root, "run/practice").mkdir()
    Path(root, "run/practice/init.py").write_text(order["init"])
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.chdir(root)
    syscall = SYS_PIVOT_ROOT.get(os.uname().machine)
    if syscall is None:
        raise RuntimeError(f"practice hosts do not run on {os.uname().machine}")
    checked(libc.syscall(syscall, b".", b"."), "pivot_root")
    checked(libc.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")
    guard_proc()
    lay_cable(order, outside)
    log = os.open("/var/log/practice-init.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for number, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, number)
    drop_capabilities()
    environment = {
        **PATHS,
        "LANG": "C.UTF-8",
        "PRACTICE_FQDN": order["fqdn"],
        "PRACTICE_HOST": order["host"],
        "PRACTICE_CONSOLE": order["console"],
        "PRACTICE_FOREIGN": order["foreign"],
    }
    # The index's lock stays open in process 1 and in nothing else.
    os.set_inheritable(order["lock"], True)
    if "leash" in order:
        os.set_inheritable(order["leash"], True)
        environment["PRACTICE_LEASH"] = str(order["leash"])
    python = "/usr/bin/python3"
    os.execve(python, [python, "-I", "/run/practice/init.py"], environment)


def make_dev(dev: Path) -> None:
    """A /dev of this machine's harmless devices and nothing else."""
    sources = {name: f"/dev/{name}" for name in DEVICES}
    held = {name: os.open(path, os.O_PATH) for name, path in sources.items()}
    mount("tmpfs", str(dev), "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name, handle in held.items():
        (dev / name).touch()
        mount(f"/proc/self/fd/{handle}", str(dev / name), flags=MS_BIND)
        os.close(handle)
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir()
    mount(
        "devpts",
        str(dev / "pts"),
        "devpts",
        MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )
    mount("tmpfs", str(dev / "shm"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m")
    mount("mqueue", str(dev / "mqueue"), "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0"}
    links |= {"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
    for name, target in links.items():
        (dev / name).symlink_to(target)


def guard_proc() -> None:
    """Root in there is root: what of /proc belongs to the whole machine is read-only or hidden."""
    for name in READ_ONLY:
        path = f"/proc/{name}"
        if os.path.exists(path):  # noqa: PTH110
            flags = MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC
            mount(path, path, flags=MS_BIND | MS_REC)
            mount(path, path, flags=flags | MS_REMOUNT | MS_RDONLY)
    for name in HIDDEN:
        secret = Path("/proc", name)
        if secret.is_dir():
            mount("tmpfs", str(secret), "tmpfs", MS_RDONLY, "size=0")
        elif secret.exists():
            mount("/dev/null", str(secret), flags=MS_BIND)


def drop_capabilities() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in set(range(last + 1)) - set(CAPABILITIES):
        checked(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


if __name__ == "__main__":
    sys.exit(main())
