"""Snapshots whose renderings are kept under `golden/`, a folder each.

    REWRITE_GOLDEN=1 pytest tests/render/test_golden.py      after a change that is meant

The certificates are not real: rendering copies them, it does not read them.
"""

from pathlib import Path

from deploy.render.values import HostConfig, Snapshot, TlsFiles

GOLDEN = Path(__file__).parent / "golden"

CHAIN = (
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    b"-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
)
TLS = TlsFiles(
    chain_pem=CHAIN,
    ca_pem=b"-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n",
    key_id="41" * 16,
    fingerprint_sha256="709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c",
)

SENDMAIL_SNIPPET = """\
dnl Größere Nachrichten für 研發部
define(`confMAX_MESSAGE_SIZE', `104857600')dnl
# a comment that isn't quoted
LOCAL_CONFIG
# our own
Kstaff hash -o /etc/mail/staff
"""
DOVECOT_SNIPPET = """\
# 備份
imap_idle_notify_interval = 3 mins
protocol imap {
  mail_max_userip_connections = 80
}
"""
POSTFIX_SNIPPET = """\
# 研發部的大檔案
message_size_limit = 104857600
smtpd_client_restrictions =
  permit_mynetworks,
# our own list
  reject_rbl_client dnsbl.example.test

milter_default_action=accept
"""

HOSTS = {
    "plain": HostConfig(fqdn="mail.example.test"),
    "both-families": HostConfig(fqdn="mail.example.test", listen_inet6=("::",), message_size_mb=25),
    "addresses": HostConfig(
        fqdn="mail.example.test",
        listen_inet=("192.0.2.25", "192.0.2.26"),
        listen_inet6=("2001:db8::25",),
    ),
    "m4-words": HostConfig(fqdn="dnl.define.shift.example.test"),
    "snippets": HostConfig(
        fqdn="mail.example.test",
        snippet_sendmail=SENDMAIL_SNIPPET,
        snippet_dovecot=DOVECOT_SNIPPET,
    ),
    "postfix": HostConfig(fqdn="mail.example.test", mta="postfix"),
    "postfix-both-families": HostConfig(
        fqdn="mail.example.test", mta="postfix", listen_inet6=("::",), message_size_mb=25
    ),
    "postfix-addresses": HostConfig(
        fqdn="mail.example.test",
        mta="postfix",
        listen_inet=("192.0.2.25", "192.0.2.26"),
        listen_inet6=("2001:db8::25",),
    ),
    "postfix-snippets": HostConfig(
        fqdn="mail.example.test",
        mta="postfix",
        snippet_postfix=POSTFIX_SNIPPET,
        snippet_dovecot=DOVECOT_SNIPPET,
    ),
    "fedora-sendmail": HostConfig(fqdn="mail.example.test", family="fedora"),
    "fedora-postfix": HostConfig(fqdn="mail.example.test", mta="postfix", family="fedora"),
}


def hosts_of(mta: str) -> list[str]:
    return [name for name, host in HOSTS.items() if host.mta == mta]


def snapshot(name: str) -> Snapshot:
    return Snapshot(host=HOSTS[name], tls=TLS)
