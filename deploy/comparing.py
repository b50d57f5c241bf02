"""A file as it was deployed beside what is on the host: the difference, and what can be taken over.

files = shown(host)             # in the order of their paths
files[0].diff                   # unified, "" where there is nothing to compare
files[0].adopted                # deploy.adoption.Adopted, or None and `why_not` says why
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from deploy import adoption
from deploy import plan as planning
from deploy.adoption import Adopted
from deploy.bundle import DOVECOT_23, DOVECOT_24, POSTFIX_MAIN, POSTFIX_MASTER, SENDMAIL_MC
from deploy.hostctl import paths
from deploy.models import DriftedFile, Generation, Host
from deploy.render.values import GENERATION

SERVICES = {name: f"snippet_{name}" for name in ("sendmail", "postfix", "dovecot")}
_SPLITS = {
    "sendmail": adoption.sendmail,
    "postfix": adoption.postfix,
    "dovecot": adoption.dovecot,
}
_DOVECOT_OF = {"2.3": DOVECOT_23, "2.4": DOVECOT_24}

WHY_NOT: dict[str, str | Promise] = {
    "made": _(
        "sendmail.cf is made of sendmail.mc, and its lines cannot be turned back into m4. Take "
        "what you want to keep from the difference and write it into the own lines by hand."
    ),
    "services": _(
        "master.cf says which ports there are and what holds on them, and has no own lines. "
        "Settings of your own go into main.cf; milters and further checks can be set there."
    ),
    "certificate": _(
        "Certificates and keys come from the console: overwrite it, or ask for a new certificate."
    ),
    "no_place": _(
        "There are no own lines for this file. Overwrite it, or leave it and know that the next "
        "deployment overwrites it."
    ),
    "elsewhere": _(
        "The server is on another generation than the one this console put live last: one of the "
        "two was restored from a backup, or another console was at work. Overwrite it to have "
        "what this console knows; a generation to go back to is kept on the server."
    ),
    "not_read": _("This server's version of Dovecot does not read this file."),
    "nothing": _("There is no text of it to take lines from."),
}

REASONS: dict[str, str | Promise] = {
    "removed": _("taken out there; own lines can only add or override"),
    "unnamed": _("inside a section without a name; written again it would be a second one"),
    "twice": _("would be added beside the console's line instead of replacing it"),
    "console": _("a setting of the console's own, which own lines may not have"),
    "place": _("a rule or a mailer, whose place among the others matters"),
}


@dataclass(frozen=True)
class Shown:
    """`service` is whose own lines can take it over; `why_not` says why there are none."""

    row: DriftedFile
    diff: str
    service: str
    adopted: Adopted | None
    why_not: str | Promise = ""

    @property
    def added(self) -> int:
        return self._count("+")

    @property
    def removed(self) -> int:
        return self._count("-")

    def _count(self, sign: str) -> int:
        lines = self.diff.splitlines()[2:]
        return sum(line.startswith(sign) for line in lines)

    @property
    def by_hand(self) -> list[tuple[str, str | Promise]]:
        """(line, why it cannot be taken over)"""
        if self.adopted is None:
            return []
        return [(each.line, REASONS[each.reason]) for each in self.adopted.by_hand]


def shown(host: Host, live: Generation | None) -> list[Shown]:
    """What drifted as of the last look; files that are as deployed again by now are left out."""
    drifted = host.reported().drifted
    rows = DriftedFile.objects.filter(host=host, path__in=drifted).select_related("chosen_by")
    return [compare(row, host, live) for row in rows]


def compare(row: DriftedFile, host: Host, live: Generation | None) -> Shown:
    branch = host.reported().dovecot_branch
    name = _DOVECOT_OF.get(branch, row.name) if row.name == paths.DOVECOT_LINK else row.name
    deployed = _deployed(row, name, live)
    diff = _diff(row, name, deployed)
    service, why_not = _service(row, name, branch)
    if why_not or row.text is None or deployed is None:
        return Shown(row, diff, "", None, WHY_NOT[why_not or "nothing"])
    folder = f"{paths.STATE}/generations/{row.generation}"
    adopted = _SPLITS[service](deployed, row.text)
    text = adopted.text.replace(folder, GENERATION)
    return Shown(row, diff, service, Adopted(text, adopted.by_hand))


def _deployed(row: DriftedFile, name: str, live: Generation | None) -> str | None:
    """As it was written there, the generation's own folder in it."""
    if row.deployed is not None:
        return row.deployed
    if live is None or live.number != row.generation:
        return None
    content = live.bundle().files.get(name)
    if content is None:
        return None
    folder = f"{paths.STATE}/generations/{live.number}"
    return content.decode("utf-8", "replace").replace(GENERATION, folder)


def _diff(row: DriftedFile, name: str, deployed: str | None) -> str:
    if deployed is None or (row.text is None and row.state != DriftedFile.MISSING):
        return ""
    before, after = (
        planning.lines_of(name, (text or "").encode()) for text in (deployed, row.text)
    )
    return "\n".join(difflib.unified_diff(before, after, f"deployed/{name}", row.path, lineterm=""))


def _service(row: DriftedFile, name: str, branch: str) -> tuple[str, str]:
    """Whose own lines, or why none."""
    if name == SENDMAIL_MC:
        return "sendmail", ""
    if name == POSTFIX_MAIN:
        return "postfix", ""
    if name == POSTFIX_MASTER:
        return "", "services"
    if name in _DOVECOT_OF.values():
        return ("dovecot", "") if name == _DOVECOT_OF.get(branch) else ("", "not_read")
    if name == paths.BUILT_CF:
        return "", "made"
    if row.path == paths.CURRENT:
        return "", "elsewhere"
    return "", "certificate" if name.startswith("tls/") else "no_place"


def proposed(files: Iterable[Shown], host: Host) -> dict[str, str]:
    """The own lines with what can be taken over behind them, by the field's name."""
    found = {field: getattr(host, field) for field in SERVICES.values()}
    for file in files:
        if file.adopted is None or not file.adopted.text:
            continue
        field = SERVICES[file.service]
        before = found[field].rstrip("\n")
        if file.service == "postfix":  # which would complain about a setting that is there twice
            before = adoption.postfix_without(before, file.adopted.text).rstrip("\n")
        if file.service == "sendmail" and "LOCAL_" in before:
            before += "\ndivert(-1)"  # back from the part of the cf where the own lines ended
        found[field] = f"{before}\n{file.adopted.text}" if before else file.adopted.text
    return found
