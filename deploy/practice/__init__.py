"""The practice host: a whole Debian of its own on this machine, with real mail daemons and sshd.

    root = DebianRoot.ensure("bookworm")              # made once, kept in the cache
    machine = Machine.create(directory, "bookworm", "mail1.example.test")
    machine.start()
    machine.authorize("ssh-ed25519 AAAA…")            # from here on a host like any other

It shares nothing with the machine's own packages, services or mail server but the kernel and the
clock. Needs root; `can_practise()` says whether it can work here and, if not, why.
"""

from deploy.practice.debian import RELEASES, DebianRoot
from deploy.practice.errors import PracticeError
from deploy.practice.helper import serve
from deploy.practice.machine import Machine
from deploy.practice.readiness import can_practise

__all__ = ["RELEASES", "DebianRoot", "Machine", "PracticeError", "can_practise", "serve"]
