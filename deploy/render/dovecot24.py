"""Dovecot 2.4 (Debian 13): `dovecot24.conf`, one file that holds its queries itself.

Sources: doc.dovecot.org/2.4, `doveconf -a` of 2.4.1; proven against the real daemon by the live
tests.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.bundle import DOVECOT_24
from deploy.hostctl import paths
from deploy.render import dovecot, lines
from deploy.render.values import Snapshot

_USER = "%{user | lower}"
_QUOTA = (
    "CASE quota_bytes WHEN 0 THEN 'unlimited' ELSE quota_bytes || 'B' END AS quota_storage_size"
)


def files(snapshot: Snapshot) -> Mapping[str, bytes]:
    return {
        DOVECOT_24: lines.fill(
            dovecot.template("dovecot24.conf.template"),
            ACCOUNTS_DB=paths.ACCOUNTS_DB,
            LAST_LOGIN_DB=paths.LAST_LOGIN_DB,
            PASSWORD_QUERY=dovecot.password_query(_USER, "%{password}", "%{protocol}"),
            USER_QUERY=dovecot.user_query(_USER, _QUOTA),
            ITERATE_QUERY=dovecot.ITERATE_QUERY,
            **dovecot.host_values(snapshot.host),
        ),
    }
