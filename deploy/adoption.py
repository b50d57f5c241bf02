"""What of a file changed on a host can become own lines of the console's: pure.

    adopted = dovecot(deployed, found)      # texts; `postfix` for main.cf, `sendmail` for its .mc
    adopted.text                            # to put behind the own lines there are
    adopted.by_hand                         # what that cannot say, and why

Own lines stand behind the console's and can add and override, but take nothing away and not reach
into the middle:

| reason | |
|---|---|
| `removed` | a line that is gone |
| `unnamed` | inside a section without a name, which written again would be a second one |
| `twice` | a line that would stand beside the console's instead of replacing it |
| `console` | a setting that own lines may not have |
| `place` | a rule or a mailer, whose place among the others matters |

Dovecot: https://doc.dovecot.org/2.3/configuration_manual/config_file/ (a later setting wins,
sections of the same name are one).  Sendmail: cf/README (a later `define` wins).  Postfix:
postconf(5).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from deploy.render import CannotRender, lines

Reason = Literal["removed", "unnamed", "twice", "console", "place"]
Entry = tuple[tuple[str, ...], str]
"""Where a line stands (the sections around it, outermost first), and the line."""

_UNNAMED: Final = frozenset({"passdb", "userdb"})
_EQUALS: Final = re.compile(r"\s*=\s*")
_SPACES: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class ByHand:
    reason: Reason
    line: str


@dataclass(frozen=True, slots=True)
class Adopted:
    text: str
    by_hand: tuple[ByHand, ...]


# --- Dovecot ------------------------------------------------------------------------------------


def dovecot(deployed: str, found: str) -> Adopted:
    """Settings that are new or different, in their sections."""
    before, after = list(_of_dovecot(deployed)), list(_of_dovecot(found))
    sections = {path for path, _line in before}
    added, by_hand = [], []
    for path, line in _more(after, before):
        if _UNNAMED & set(path) and path in sections:
            if not line.startswith("#"):
                by_hand.append(ByHand("unnamed", line))
        else:
            added.append((path, line))
    said = {(path, _setting(line)) for path, line in after}
    by_hand += [
        ByHand("removed", line)
        for path, line in _more(before, after)
        if not line.startswith("#") and (path, _setting(line)) not in said
    ]
    return Adopted(_nested(added), tuple(by_hand))


def _of_dovecot(text: str) -> Iterator[Entry]:
    path: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            yield tuple(path), line
        elif line.endswith("{"):
            path.append(_SPACES.sub(" ", line[:-1].strip()))
        elif line == "}":
            if path:
                path.pop()
        else:
            yield tuple(path), _EQUALS.sub(" = ", line, count=1)


def _setting(line: str) -> str:
    return line.partition(" = ")[0]


def _nested(entries: Iterable[Entry]) -> str:
    """The lines in their sections, each section written once where it is first needed."""
    lines: list[str] = []
    inner: dict[str, list[Entry]] = {}
    for path, line in entries:
        if path:
            inner.setdefault(path[0], []).append((path[1:], line))
        else:
            lines.append(line + "\n")
    for section, within in inner.items():
        body = "".join(f"  {line}\n" for line in _nested(within).splitlines())
        lines.append(f"{section} {{\n{body}}}\n")
    return "".join(lines)


# --- Postfix ------------------------------------------------------------------------------------


def postfix(deployed: str, found: str) -> Adopted:
    """Settings of `main.cf` that are new or different; of one that is there twice, the last."""
    before, after = (_of_postfix(text) for text in (deployed, found))
    added, by_hand = [], []
    for name, value in after.items():
        if before.get(name) == value:
            continue
        line = f"{name} = {value}".rstrip()
        try:
            lines.postfix_snippet(line)
        except CannotRender:
            by_hand.append(ByHand("console", line))
        else:
            added.append(line + "\n")
    by_hand += [
        ByHand("removed", f"{name} = {value}".rstrip())
        for name, value in before.items()
        if name not in after
    ]
    return Adopted("".join(added), tuple(by_hand))


def _of_postfix(text: str) -> dict[str, str]:
    settings = lines.postfix_settings(text)
    return {name: _SPACES.sub(" ", value) for _number, name, value in settings}


def postfix_without(text: str, other: str) -> str:
    """`text` without the settings that `other` sets too, and without the lines they go on with."""
    theirs = {name for _number, name, _value in lines.postfix_settings(other)}
    begins = {number: name for number, name, _value in lines.postfix_settings(text)}
    kept, dropping = [], False
    for number, line in enumerate(text.splitlines(), 1):
        dropping = begins.get(number) in theirs if number in begins else dropping
        is_text = bool(line.strip()) and not line.lstrip().startswith("#")
        if not (dropping and is_text):
            kept.append(line + "\n")
    return "".join(kept)


# --- Sendmail -----------------------------------------------------------------------------------

_SETTINGS, _LOCAL_CONFIG = "", "LOCAL_CONFIG"
_PART: Final = re.compile(r"(MAILER_DEFINITIONS|MAILER\(|LOCAL_[A-Z_0-9]+)")
_DEFINE: Final = re.compile(r"(?:un)?define\(\s*`?([A-Za-z0-9_]+)")
_MACRO: Final = re.compile(r"[A-Z][A-Z0-9_]*(?:\(\s*`+[A-Za-z0-9_]+)?")


def sendmail(deployed: str, found: str) -> Adopted:
    """m4 lines before the mailers, and lines below LOCAL_CONFIG."""
    before, after = list(_of_sendmail(deployed)), list(_of_sendmail(found))
    new, lost = list(_more(after, before)), list(_more(before, after))
    gone, said = {_said(*entry) for entry in lost}, {_said(*entry) for entry in new}
    added, by_hand = [], []
    for entry in new:
        (part,), line = entry
        if part not in (_SETTINGS, _LOCAL_CONFIG):
            by_hand.append(ByHand("place", line))
        elif not _DEFINE.match(line) and _said(*entry) in gone:
            by_hand.append(ByHand("twice", line))
        else:
            added.append(entry)
    by_hand += [
        ByHand("removed", entry[1])
        for entry in lost
        if not entry[1].startswith(("dnl", "#")) and _said(*entry) not in said
    ]
    text = "".join(line + "\n" for (part,), line in added if part == _SETTINGS)
    local = "".join(line + "\n" for (part,), line in added if part == _LOCAL_CONFIG)
    return Adopted(text + (f"{_LOCAL_CONFIG}\n{local}" if local else ""), tuple(by_hand))


def _of_sendmail(text: str) -> Iterator[Entry]:
    part = _SETTINGS
    for raw in text.splitlines():
        line = raw.rstrip()
        if mark := _PART.match(line):
            part = mark.group(1).rstrip("(")
        elif line and not line.startswith("divert(") and line != "dnl":
            yield (part,), line


def _said(path: tuple[str, ...], line: str) -> tuple[str, str]:
    """What a line is about: the name it defines, its macro and first argument, its first word."""
    (part,) = path
    if defined := _DEFINE.match(line):
        return part, defined.group(1)
    if part == _SETTINGS and (macro := _MACRO.match(line)):
        # Every listener is a DAEMON_OPTIONS, whatever it begins with.
        name = macro.group(0)
        return part, "DAEMON_OPTIONS" if name.startswith("DAEMON_OPTIONS") else name
    return part, re.split(r"[\s=]", line, maxsplit=1)[0]


# --- both ---------------------------------------------------------------------------------------


def _more(entries: Iterable[Entry], than: Iterable[Entry]) -> Iterator[Entry]:
    """What there is more of, in order: `than` may have the same line once less."""
    left = Counter(than)
    for entry in entries:
        if left[entry]:
            left[entry] -= 1
        else:
            yield entry
