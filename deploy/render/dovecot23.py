"""Dovecot 2.3 (Debian 12): `dovecot23.conf` and the files that its SQL drivers read.

Sources: doc.dovecot.org/2.3, `doveconf -a` of 2.3.19; proven against the real daemon by the live
tests.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.bundle import DOVECOT_23, DOVECOT_23_LASTLOGIN, DOVECOT_23_SQL
from deploy.hostctl import paths
from deploy.render import dovecot, lines
from deploy.render.values import Snapshot

_USER = "%Lu"
# An empty rule is no limit; `bytes=0` would be no limit as well, but says something else.
_QUOTA = (
    "CASE quota_bytes WHEN 0 THEN '*:storage=0' ELSE '*:bytes=' || quota_bytes END AS quota_rule"
)


def files(snapshot: Snapshot) -> Mapping[str, bytes]:
    return {
        DOVECOT_23: lines.fill(
            dovecot.template("dovecot23.conf.template"), **dovecot.host_values(snapshot.host)
        ),
        DOVECOT_23_SQL: lines.fill(
            dovecot.template("sql23.ext.template"),
            ACCOUNTS_DB=paths.ACCOUNTS_DB,
            PASSWORD_QUERY=dovecot.password_query(_USER, "%w", "%s"),
            USER_QUERY=dovecot.user_query(_USER, _QUOTA),
            ITERATE_QUERY=dovecot.ITERATE_QUERY,
        ),
        DOVECOT_23_LASTLOGIN: lines.fill(
            dovecot.template("lastlogin23.ext.template"), LAST_LOGIN_DB=paths.LAST_LOGIN_DB
        ),
    }
