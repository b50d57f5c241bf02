"""Postfix 3.7 and later: `main.cf` and `master.cf`.

What the rendered configuration does:

- port 25 takes mail from the world and from the host itself and never offers AUTH; 587 wants
  STARTTLS and then AUTH, 465 is TLS from the first byte and wants AUTH;
- which domains, mailboxes and aliases there are, who is closed or full, and who may send under
  which address is asked of the bridge for every message, by socketmap tables over one socket; it
  reads the account database itself, so there are no maps to build and none to go stale;
- whoever signed in sends only under an address of its own, and at every MAIL and RCPT the bridge is
  asked whether the session may go on, so that a suspension stops sessions that are already open;
- mail for a domain of ours goes to Dovecot by LMTP, the host's own mail stays local.

What holds on 587 and 465 is written in `master.cf` behind `-o`, which wins over `main.cf`: own
lines may add checks for port 25 and cannot take those away.

A listener names its address in `master.cf`; Postfix opens it at its start only, so a change of
`master.cf` costs a restart and one of `main.cf` a reload.  `inet_interfaces` stays `all`: it says
which addresses are this host.

Own lines that set what the console sets replace its line, because Postfix would complain about the
first of two at every command.

Sources: postconf(5), master(5), access(5), SASL_README, SMTPD_POLICY_README, socketmap_table(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from deploy.bundle import POSTFIX_MAIN, POSTFIX_MASTER
from deploy.hostctl import paths
from deploy.render import lines
from deploy.render.values import HostConfig, Snapshot

LOOKUP: Final = f"socketmap:unix:{paths.LOOKUP_SOCKET}"
_LOOPBACK = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104
_POLICY = f"check_policy_service unix:{paths.POLICY_SOCKET}"
# A client that connects or tries to sign in more often in a minute is guessing passwords.
_SIGNED_IN: Final = (
    "smtpd_sasl_auth_enable=yes",
    "smtpd_tls_auth_only=yes",
    "smtpd_delay_reject=no",
    f"{{ smtpd_client_restrictions = {_POLICY} }}",
    "smtpd_helo_restrictions=",
    f"{{ smtpd_sender_restrictions = {_POLICY}, reject_authenticated_sender_login_mismatch }}",
    "{ smtpd_relay_restrictions = permit_sasl_authenticated, reject }",
    f"{{ smtpd_recipient_restrictions = {_POLICY} }}",
    "smtpd_client_connection_rate_limit=120",
    "smtpd_client_auth_rate_limit=60",
    "local_header_rewrite_clients=permit_inet_interfaces,permit_sasl_authenticated",
    "milter_macro_daemon_name=ORIGINATING",
)
_PORTS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (25, ()),
    (587, ("syslog_name=postfix/submission", "smtpd_tls_security_level=encrypt", *_SIGNED_IN)),
    (
        465,
        (
            "syslog_name=postfix/submissions",
            "smtpd_tls_security_level=encrypt",
            "smtpd_tls_wrappermode=yes",
            *_SIGNED_IN,
        ),
    ),
)


def files(snapshot: Snapshot) -> Mapping[str, bytes]:
    host = snapshot.host
    return {
        POSTFIX_MAIN: _with_own(_main(host), lines.postfix_snippet(host.snippet_postfix)).encode(),
        POSTFIX_MASTER: lines.fill(
            _template("master.cf.template"), LISTENERS="\n".join(_listeners(host))
        ),
    }


def _template(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _main(host: HostConfig) -> str:
    size = lines.megabytes("message_size_mb", host.message_size_mb)
    return lines.fill(
        _template("main.cf.template"),
        MYHOSTNAME=lines.postfix_setting("myhostname", lines.host_name("fqdn", host.fqdn)),
        INET_PROTOCOLS=lines.postfix_setting(
            "inet_protocols", "all" if host.listen_inet6 else "ipv4"
        ),
        CLIENT_CA=_client_ca(paths.FAMILIES[host.family]),
        MESSAGE_SIZE=lines.postfix_setting("message_size_limit", str(size)),
        LOOKUP=LOOKUP,
        AUTH_SOCKET=paths.AUTH_SOCKET,
        LMTP_SOCKET=paths.DOVECOT_LMTP_SOCKET,
        POLICY_SOCKET=paths.POLICY_SOCKET,
    ).decode()


def _client_ca(family: paths.Family) -> str:
    """The authorities that the system trusts: in a folder of hashes, or in one file."""
    if family.ca_file:
        return lines.postfix_setting("smtp_tls_CAfile", family.ca_file)
    return lines.postfix_setting("smtp_tls_CApath", family.ca_path)


def _with_own(main: str, snippet: str) -> str:
    """Own lines at the end; a setting of the console's that they set too is left out."""
    if not snippet:
        return main
    theirs = {name for _number, name, _value in lines.postfix_settings(snippet)}
    kept = [
        f"# {name}: see the operator's own lines below" if name in theirs else line
        for line, name in ((line, line.partition(" =")[0]) for line in main.splitlines())
    ]
    return "\n".join(kept) + f"\n\n# --- the operator's own lines\n{snippet}"


def _listeners(host: HostConfig) -> Iterator[str]:
    inet = lines.addresses("listen_inet", host.listen_inet, 4)
    inet6 = lines.addresses("listen_inet6", host.listen_inet6, 6)
    # Programs of the host's own that speak SMTP reach 127.0.0.1, port 25.
    local = () if _EVERYWHERE in inet or _LOOPBACK in inet else (_LOOPBACK,)
    for port, options in _PORTS:
        for address in inet + local if port == 25 else inet:
            yield _listener(address, port, options)
        for address in inet6:
            yield _listener(f"[{address}]", port, options)


def _listener(address: str, port: int, options: tuple[str, ...]) -> str:
    service = f"{address}:{port} inet n - n - - smtpd"
    return "\n".join([service, *(f"  -o {option}" for option in options)])
