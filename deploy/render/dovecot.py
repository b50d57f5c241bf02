"""What both Dovecot versions share: the queries on the account database, and the host's values.

    accounts.sqlite   account(address, password, can_login, quota_bytes, ...)
                      app_password(address, selector, password, imap, pop3, sending, expires_at)

A suspended account gives no row, so that IMAP, POP3 and Sendmail (through the bridge) refuse it
alike and at once; `nologin` would still let it send.  The home is built from the database's own
text, never from what a client typed.

A password that begins like an app password of the mailbox's is that one if it is for this protocol
and not over; any other is the mailbox's own. It is one row and so one hash, one delay after a wrong
one and one line in the log: a second passdb would log "unknown user" for everybody who has none.
"""

from __future__ import annotations

from importlib import resources

from deploy.hostctl import paths
from deploy.render import lines
from deploy.render.values import HostConfig

ITERATE_QUERY = "SELECT address AS user FROM account"


def password_query(user: str, password: str, protocol: str) -> str:
    """The arguments are the version's variables; `user` is the lower-case login.

    `app` goes to who asked (the bridge), `userdb_app` to the session, as a part of the last login's
    key. SQLite cuts the password, not Dovecot: that escapes first, so a quotation mark at the cut
    would lose its other half; and it refuses to cut what is shorter.
    """
    return (
        "SELECT a.address AS user, coalesce(p.password, a.password) AS password,"  # noqa: S608 - for Dovecot, which escapes
        " p.selector AS app, ':' || p.selector AS userdb_app"
        " FROM account a LEFT JOIN app_password p ON p.address = a.address"
        f" AND p.selector = substr('{password}', 1, 8)"
        f" AND CASE '{protocol}' WHEN 'imap' THEN p.imap WHEN 'pop3' THEN p.pop3"
        " WHEN 'smtp' THEN p.sending ELSE 0 END"
        " AND (p.expires_at = 0 OR p.expires_at > unixepoch())"
        f" WHERE a.address = '{user}' AND a.can_login = 1"
    )


def user_query(user: str, quota: str) -> str:
    """`quota` is the version's column for a limit, as `expression AS name`."""
    home = (
        f"'{paths.MAIL}/' || substr(address, instr(address, '@') + 1)"
        " || '/' || substr(address, 1, instr(address, '@') - 1)"
    )
    return (
        f"SELECT {paths.VMAIL_UID} AS uid, {paths.VMAIL_GID} AS gid, {home} AS home, {quota}"  # noqa: S608
        f" FROM account WHERE address = '{user}'"
    )


def template(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _of_mta(mta: str) -> dict[str, str]:
    """Who comes over Dovecot's sockets."""
    if mta == "postfix":
        return {"MTA": "Postfix", "LMTP_USER": paths.POSTFIX_USER}
    return {"MTA": "Sendmail", "LMTP_USER": "root"}


def host_values(host: HostConfig) -> dict[str, str]:
    """The placeholders that mean the same in both versions."""
    fqdn = lines.host_name("fqdn", host.fqdn)
    listen = [
        *lines.addresses("listen_inet", host.listen_inet, 4),
        *lines.addresses("listen_inet6", host.listen_inet6, 6),
    ]
    snippet = lines.dovecot_snippet(host.snippet_dovecot)
    return {
        "LISTEN": lines.dovecot_setting("listen", *listen),
        "HOSTNAME": lines.dovecot_setting("hostname", fqdn),
        "POSTMASTER": lines.dovecot_setting("postmaster_address", f"postmaster@{fqdn}"),
        "UID": str(paths.VMAIL_UID),
        "GID": str(paths.VMAIL_GID),
        "VMAIL": paths.VMAIL_USER,
        "BRIDGE_USER": paths.BRIDGE_USER,
        **_of_mta(host.mta),
        "QUOTA_SOCKET": paths.DOVECOT_QUOTA_SOCKET.rpartition("/")[2],
        "SNIPPET": f"\n# --- the operator's own lines\n{snippet}" if snippet else "",
    }
