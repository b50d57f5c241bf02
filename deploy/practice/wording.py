"""The words for what the practice host does and why it refuses, in the operator's language.

The helper runs outside Django and says codes and English sentences; pages show these. What the
helper adds (a log's path, the last words of a program) is in its own sentence and in its log.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

STEPS: dict[str, str | Promise] = {
    "wait": _("Waiting for another console that is making the same Debian"),
    "tools": _("Installing the program that makes a Debian"),
    "update": _("Asking Debian's mirror what there is"),
    "download": _("Downloading Debian's base system"),
    "extract": _("Unpacking the base system"),
    "base": _("Setting up the base system"),
    "packages": _("Installing Sendmail, Dovecot and an SSH server"),
    "clean": _("Tidying up"),
    "settle": _("Tidying up"),
    "ready": _("This Debian is ready and kept for the next time"),
    "instance": _("Making a host from it"),
    "start": _("Starting the host"),
    "authorize": _("Letting the console in"),
    "stop": _("Stopping the host"),
    "destroy": _("Removing the host"),
    "done": _("The practice host is running"),
}

ERRORS: dict[str, str | Promise] = {
    "not_linux": _("A practice host needs Linux."),
    "not_root": _("Practice hosts need root: start the console as root to use them."),
    "no_helper": _("Practice hosts need root: start the console as root to use them."),
    "helper_gone": _("The helper for practice hosts went away. Try again."),
    "capabilities": _(
        "This root may not make namespaces, as in most containers. Run the console on the machine "
        "itself or in a privileged container."
    ),
    "namespaces": _("This machine's kernel refuses to make namespaces."),
    "no_tool": _("A program is missing that makes a Debian. Install mmdebstrap and try again."),
    "disk": _("The disk is too full: a practice host needs 1.5 GB the first time."),
    "mirror": _(
        "Debian's mirror could not be reached. Check this machine's network and try again."
    ),
    "keyring": _(
        "Debian's signature could not be checked. Upgrade the package debian-archive-keyring."
    ),
    "addresses": _("All addresses for practice hosts on this machine are in use."),
    "busy": _("The practice host is busy with something else. Try again when it is done."),
    "exists": _("There is a practice host already. Remove it first."),
    "absent": _("There is no practice host yet."),
    "image_gone": _(
        "The Debian this practice host stands on was removed from the cache. Remove the practice "
        "host and make it again."
    ),
    "build": _(
        "Debian could not be installed. The builder's log is in the console's cache, beside the "
        "kept Debian."
    ),
    "start": _("The practice host did not come up."),
    "stopped": _("The practice host is not running."),
    "command": _("A command in the practice host failed."),
    "internal": _("Something unexpected went wrong in the helper for practice hosts; see its log."),
    "release": _("That Debian cannot be made, only Debian 12 and 13."),
    "name": _("That is no name for a practice host."),
    "public_key": _("That is not a public SSH key of a kind known here."),
    "request": _("The helper for practice hosts did not understand; restart the console."),
    "denied": _("The helper for practice hosts answers only the console that started it."),
    "fqdn": _("A practice host needs a full name such as mail.example.test."),
}


def step(code: str) -> str:
    return str(STEPS.get(code, code))


def error(code: str, message: str) -> str:
    return str(ERRORS.get(code, message))
