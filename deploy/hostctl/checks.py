"""Validation of a staged generation, in layers, because no daemon's own check is enough.

    text          macros that run programs, settings that log passwords
    m4            sendmail.mc -> sendmail.cf, as nobody, with the running of programs taken out
    certificate   pair, dates, chain, name
    sasl          Sendmail.conf asks our bridge and offers nothing else
    sendmail      -bv (syntax, queue, mailer), -bt (senders), a -bs dialogue (TLS, gate)
    postfix       in their place where Postfix is: `checks_postfix`
    dovecot       doveconf

Everything is checked before it is refused or passed; the first failure refuses.
"""

from __future__ import annotations

import glob
import hashlib
import pwd
import re
import sqlite3
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from . import (
    accounts,
    certificates,
    checks_postfix,
    dialogue,
    durable,
    generations,
    maps,
    names,
    paths,
)
from .host import Host
from .services import Sendmail
from .wire import Refused, step

M4 = "/usr/bin/m4"
DOVECONF = "/usr/bin/doveconf"
_CF_CAP = 4 * 1024 * 1024
_MACROS = ("syscmd", "esyscmd", "builtin", "indir", "debugfile", "maketemp", "mkstemp")
_RUNS_PROGRAMS = re.compile(r"\b(?:%s)\b" % "|".join(_MACROS))
_LOGS_PASSWORDS = re.compile(
    r"^\s*(auth_debug|auth_debug_passwords|auth_verbose_passwords)[ \t]*=[ \t]*(?!no\b|[ \t])"
    r"|^\s*(log_debug)[ \t]*=.*(?:auth|sql|\*)",
    re.M,
)
_UNKNOWN = "no-such-user-here"


def validate(host: Host, *, generation: int) -> Dict[str, Any]:
    values = generations.manifest(host, generation)
    if values is None or generation == 0:
        raise Refused("not_staged", f"Generation {generation} is not on this host.")
    folder = host.layout.generation(generation)
    if generation != generations.current(host):
        with step(host.emit, "validate.text"):
            text(folder)
        if "sendmail" in host.services:
            with step(host.emit, "validate.m4") as said:
                cf = build_cf(host, folder)
                values["installed"][paths.BUILT_CF] = hashlib.sha256(cf).hexdigest()
                said.detail = f"{len(cf.splitlines())} lines"
    name = names.of_generation(folder) or names.own(host)
    with step(host.emit, "validate.certificate") as said:
        said.detail = certificates.check(host, folder, name)
        values["not_after"] = certificates.not_after(said.detail)
    if "sendmail" in host.services:
        with step(host.emit, "validate.sasl"):
            sasl(host, folder)
    accounts.refresh(host, name)
    if "sendmail" in host.services:
        with step(host.emit, "validate.sendmail") as said:
            said.detail = sendmail(host, folder)
    else:
        with step(host.emit, "validate.postfix") as said:
            said.detail = checks_postfix.postfix(host, folder, name)
    with step(host.emit, "validate.dovecot"):
        dovecot(host, folder)
    values["validated"] = True
    generations.write_manifest(host, folder, values)
    return {"generation": generation}


def text(folder: Path) -> None:
    """m4 could run any program while it expands; what it may do is root's business alone."""
    mc = folder / "sendmail/sendmail.mc"
    lines = mc.read_text("utf-8", "replace").splitlines() if mc.is_file() else []
    for number, line in enumerate(lines, start=1):
        found = _RUNS_PROGRAMS.search(line)
        if found:
            raise Refused(
                "refused",
                f"sendmail.mc line {number} uses the macro {found.group()}, which is not allowed.",
            )
    for path in sorted((folder / "dovecot").glob("*.conf")):
        found = _LOGS_PASSWORDS.search(path.read_text("utf-8", "replace"))
        if found:
            raise Refused(
                "refused",
                f"{path.name} sets {found.group(1) or found.group(2)}, "
                "which writes passwords to the log.",
            )


def build_cf(host: Host, folder: Path) -> bytes:
    """Makes the cf of the staged mc and writes it beside it."""
    cf = made_cf(host, folder)
    durable.write(folder / paths.BUILT_CF, cf, 0o644, host.owner("root", "root"))
    return cf


def made_cf(host: Host, folder: Path) -> bytes:
    """Runs m4 as nobody on the mc."""
    user: Optional[Tuple[int, int]] = None
    if host.real:
        nobody = pwd.getpwnam("nobody")
        user = (nobody.pw_uid, nobody.pw_gid)
    argv = [M4, "-D_NO_MAKEINFO_"]
    for macro in _MACROS:
        argv += ["-U", macro]
    ran = host.run(
        [*argv, str(folder / "sendmail/sendmail.mc")], timeout=30, user=user, file_cap=_CF_CAP
    )
    if ran.status != 0:
        raise Refused("refused", f"m4 refuses sendmail.mc: {ran.words}")
    if ran.err.strip():
        raise Refused("refused", f"m4 complains about sendmail.mc: {ran.words}")
    if len(ran.out) >= _CF_CAP or not ran.out.strip():
        raise Refused("refused", "m4 makes no usable sendmail.cf of sendmail.mc.")
    return ran.out


def sasl(host: Host, folder: Path) -> None:
    settings = {}
    for line in (folder / "sendmail/Sendmail.conf").read_text("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.lstrip().startswith("#"):
            settings[name.strip()] = value.strip()
    if settings.get("pwcheck_method") != "saslauthd":
        raise Refused("refused", "Sendmail.conf does not check passwords through the bridge.")
    if settings.get("saslauthd_path") != paths.BRIDGE_SOCKET:
        raise Refused("refused", f"Sendmail.conf does not ask {paths.BRIDGE_SOCKET}.")
    offered = set(settings.get("mech_list", "").upper().split())
    if not offered or offered - {"PLAIN", "LOGIN"}:
        raise Refused("refused", "Sendmail.conf offers mechanisms the bridge cannot answer.")
    if host.real and not glob.glob("/usr/lib/*/sasl2/libplain.so*"):
        raise Refused("refused", "SASL's mechanisms are missing: install libsasl2-modules.")


def sendmail(host: Host, folder: Path) -> str:
    cf = folder / paths.BUILT_CF
    known, domain = _recipients(host)
    told = host.run([Sendmail.binary, "-C", str(cf), "-bv", "root"], timeout=75)
    if told.status not in (0, 67):  # 67: no such user is an answer, not a broken file
        raise Refused("refused", f"Sendmail refuses the configuration: {told.words}")
    if known:
        told = host.run([Sendmail.binary, "-C", str(cf), "-bv", known], timeout=75)
        routed = told.out.decode("utf-8", "replace")
        if told.status != 0 or not re.search(r"deliverable|mailer", routed):
            raise Refused("refused", f"Sendmail cannot deliver to {known}: {told.words}")
    senders(host, cf)
    with dialogue.open_with(Sendmail.binary, cf) as smtp:
        _expect(smtp.greeting(), 220, "the greeting")
        _, lines = _expect(smtp.say("EHLO localhost"), 250, "EHLO")
        if not any(line[4:].strip().upper() == "STARTTLS" for line in lines):
            raise Refused(
                "refused", "Sendmail would not offer STARTTLS: it cannot use this certificate."
            )
        if any(line[4:].upper().startswith("AUTH") for line in lines):
            raise Refused("refused", "Sendmail would offer AUTH without TLS.")
        if not domain:
            smtp.say("QUIT")
            return "STARTTLS; no domains on this host yet"
        _expect(smtp.say("MAIL FROM:<>"), 250, "MAIL")
        _expect(smtp.say(f"RCPT TO:<{known}>"), 250, f"a recipient that exists ({known})")
        refused = _strict_domain(host, domain)
        if refused:
            unknown = f"{_UNKNOWN}@{refused}"
            _expect(smtp.say(f"RCPT TO:<{unknown}>"), 550, "a recipient that does not exist")
        smtp.say("RSET")
        smtp.say("QUIT")
    said = f"{_UNKNOWN}@{refused} refused" if refused else "every domain has a catch-all"
    return f"STARTTLS; {known} accepted, {said}"


def senders(host: Host, cf: Path) -> None:
    """Who signed in may send as itself and as nobody else: asked of the ruleset itself, since
    the dialogue cannot sign in.  A missing map shows here as a temporary failure."""
    with accounts.opened(host) as database:
        row = database.execute(
            "SELECT address FROM account WHERE can_login AND can_send LIMIT 1"
        ).fetchone()
    if row is None:
        return
    other = f"{_UNKNOWN}@{row[0].rpartition('@')[2]}"
    asked = f".D{{auth_authen}}{row[0]}\nLocal_check_mail {row[0]}\nLocal_check_mail {other}\n"
    told = host.run([Sendmail.binary, "-C", str(cf), "-bt"], stdin=asked.encode(), timeout=75)
    said = told.out.decode("utf-8", "replace")
    verdicts = re.findall(r"^Local_check_mail *returns: (.*)$", said, re.M)
    allowed = ["error" not in verdict for verdict in verdicts]
    if allowed == [True, False]:
        return
    if len(allowed) != 2:
        raise Refused("refused", f"Sendmail does not judge senders: {told.words}")
    problem = f"{row[0]} could not send" if not allowed[0] else f"{row[0]} could send as {other}"
    raise Refused("refused", f"With this configuration {problem}: {verdicts[0]}")


def _expect(reply: dialogue.Reply, code: int, to: str) -> dialogue.Reply:
    if reply[0] != code:
        raise Refused(
            "refused", f"Sendmail answers {' / '.join(reply[1])[:400]} to {to}, not {code}."
        )
    return reply


def _recipients(host: Host) -> Tuple[str, str]:
    """A recipient that must be accepted, and its domain; empty before the first domain."""
    with accounts.opened(host) as database:
        row = database.execute("SELECT address FROM account WHERE receives = 1 LIMIT 1").fetchone()
        if row is not None:
            return row[0], row[0].rpartition("@")[2]
        return _role(database)


def _strict_domain(host: Host, domain: str) -> str:
    """This domain or another that refuses unknown names; empty when each has a catch-all."""
    with accounts.opened(host) as database:
        row = database.execute(
            "SELECT name FROM domain WHERE NOT EXISTS"
            " (SELECT 1 FROM alias WHERE address = ? || '@' || name)"
            " ORDER BY name = ? DESC LIMIT 1",
            (maps.CATCH_ALL, domain),
        ).fetchone()
    return row[0] if row is not None else ""


def _role(database: sqlite3.Connection) -> Tuple[str, str]:
    row = database.execute("SELECT name FROM domain ORDER BY name LIMIT 1").fetchone()
    return (f"postmaster@{row[0]}", row[0]) if row is not None else ("", "")


def dovecot(host: Host, folder: Path) -> None:
    conf = folder / paths.DOVECOT_LINK
    if not conf.exists():
        raise Refused("refused", "The generation has no configuration for this host's Dovecot.")
    told = host.run([DOVECONF, "-c", str(conf), "-n"], timeout=30)
    if told.status != 0:
        raise Refused("refused", f"Dovecot refuses the configuration: {told.words}")
    live = told.out.decode("utf-8", "replace")
    if not live.strip():
        raise Refused("refused", "Dovecot finds nothing in its configuration.")
    if _LOGS_PASSWORDS.search(live):
        raise Refused("refused", "The configuration makes Dovecot write passwords to the log.")
    # -x reads the files that settings name, where this version has them in its settings.
    told = host.run([DOVECONF, "-c", str(conf), "-n", "-x"], timeout=30)
    if told.status != 0:
        raise Refused("refused", f"Dovecot refuses the configuration: {told.words}")
