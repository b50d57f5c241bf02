"""Sendmail 8.17 and 8.18: `sendmail.mc` for m4, and `Sendmail.conf` for SASL.

What the rendered configuration does (the rules are in `sendmail.mc.template`):

- port 25 takes mail from the world and from the host itself and never offers AUTH; 587 wants
  STARTTLS and then AUTH, 465 is TLS from the first byte and wants AUTH;
- a recipient of a domain of ours must be in the `access` map, at RCPT time;
- who signed in may send only while `cansend` lists it, which is looked up at every MAIL, so that a
  suspension stops sessions that are already open, and only under an address of its own (`sendas`);
- mail for a domain in `mailertable` goes to Dovecot by LMTP, the host's own mail stays local.

The maps are account data: they live beside the generations and no rollback touches them.
The families of systems differ in a few paths and in who delivers the system's own mail.  A Sendmail
that was built without Berkeley DB (RHEL 10) cannot read these maps: its own check refuses it.

Sources: cf/README of Sendmail 8.17 and 8.18, Debian's ostype/debian.m4, options.html of Cyrus SASL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from deploy.bundle import SENDMAIL_MC, SENDMAIL_SASL
from deploy.hostctl import paths
from deploy.render import lines
from deploy.render.values import HostConfig, Snapshot

_LOOPBACK = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104
_EVERYWHERE6 = "::"
_OF_FAMILY: Final = {
    "debian": (
        "define(`confCONTROL_SOCKET_NAME', `/run/sendmail/mta/smcontrol')dnl",
        "define(`confPROCESS_TITLE_PREFIX', `MTA')dnl",
        "define(`confTRUSTED_USER', `smmta')dnl",
    ),
    "fedora": (
        "define(`confPROCESS_TITLE_PREFIX', `MTA')dnl",
        "define(`confDEF_USER_ID', ``8:12'')dnl",
        "define(`PROCMAIL_MAILER_PATH', `/usr/bin/procmail')dnl",
    ),
}
# Debian's OSTYPE says who delivers; Fedora's sendmail.mc says it.
_LOCAL_DELIVERY: Final = {
    "debian": "",
    "fedora": "FEATURE(`smrsh', `/usr/sbin/smrsh')dnl\n"
    "FEATURE(`local_procmail', `', `procmail -t -Y -a $h -d $u')dnl\n",
}


def files(snapshot: Snapshot) -> Mapping[str, bytes]:
    host = snapshot.host
    here = resources.files(__package__)
    family = paths.FAMILIES[host.family]
    snippet = lines.sendmail_snippet(host.snippet_sendmail)
    if snippet:
        # Its blank lines must not reach the cf, and it must not leave a diversion behind.
        snippet = f"dnl --- the operator's own lines\ndivert(-1)\n{snippet}divert(0)dnl\n"
    return {
        SENDMAIL_MC: lines.fill(
            (here / "sendmail.mc.template").read_text(encoding="utf-8"),
            DOMAIN_NAME=lines.m4_define("confDOMAIN_NAME", lines.host_name("fqdn", host.fqdn)),
            LISTENERS="\n".join(_listeners(host)),
            MESSAGE_SIZE=str(lines.megabytes("message_size_mb", host.message_size_mb)),
            MAPS=paths.MAPS,
            CF=family.sendmail_cf,
            OSTYPE=family.sendmail_ostype,
            PID_FILE=family.sendmail_pid,
            ALIASES=family.sendmail_aliases,
            CA_PATH=family.ca_path,
            OF_FAMILY="\n".join(_OF_FAMILY[host.family]),
            LOCAL_DELIVERY=_LOCAL_DELIVERY[host.family],
            FULL_SOCKET=paths.FULL_SOCKET,
            SNIPPET=snippet,
        ),
        SENDMAIL_SASL: lines.fill(
            (here / "Sendmail.conf.template").read_text(encoding="utf-8"),
            BRIDGE_SOCKET=paths.BRIDGE_SOCKET,
        ),
    }


def _listeners(host: HostConfig) -> Iterator[str]:
    inet = lines.addresses("listen_inet", host.listen_inet, 4)
    inet6 = lines.addresses("listen_inet6", host.listen_inet6, 6)
    # The host's own mail (submit.cf: cron, monitoring) is handed to 127.0.0.1, port 25.
    local = () if _EVERYWHERE in inet or _LOOPBACK in inet else (_LOOPBACK,)
    if _EVERYWHERE6 in inet6:
        # Sendmail's socket on :: takes IPv4 too, so that a second one on the port cannot be bound.
        lines.only_wildcards(inet, inet6, _EVERYWHERE)
        inet, inet6, local = (), (_EVERYWHERE6,), ()
    for name, port, modifiers in (("MTA", 25, "A"), ("MSA", 587, "Ea"), ("MSAS", 465, "Eas")):
        for address in inet + local if port == 25 else inet:
            yield _listener("inet", name, address, port, modifiers)
        for address in inet6:
            yield _listener("inet6", f"{name}6", address, port, modifiers)


def _listener(family: str, name: str, address: str, port: int, modifiers: str) -> str:
    return lines.daemon_options(
        f"Family={family}", f"Name={name}", f"Addr={address}", f"Port={port}", f"M={modifiers}"
    )
