"""What hostctl may touch on a host: paths, owners, modes and services, in one table.

The helper owns this table, not the bundle: a bundle that holds any other path is
refused.  The console imports it too, so that what is rendered and what is accepted
cannot drift apart.

    /var/lib/mailadmin/                    0755 root      STATE
      host.json                            0600           {"host": uuid, "sequence": n}
      lock accounts.lock erase.lock identity.lock   0600  see LOCKS
      journal/                             0700           switches, records before touching
      generations/<n>/                     0755
        sendmail/sendmail.mc sendmail.cf Sendmail.conf
        dovecot/dovecot23.conf ... dovecot.conf -> the one for this host's version
        tls/chain.pem ca.pem 0644, key.pem 0600 (from keys/, named by the request)
        manifest.json                                     digests, base, key
      current -> generations/<n>                          the atomic pointer
      keys/<key id>.key                    0600           made here, never leaves
      accounts/                            0755 root      no generation holds it
        db/                                0770 root:dovecot (WAL needs the folder)
          accounts.sqlite lastlogin.sqlite 0660 root:dovecot
        maps/                              0755 root, files 0640
          access.db aliases.db mailertable.db sendas.db cansend.db
      mail/<domain>/<local part>/          0700 vmail
      mail/.erased/                        0700 root      on its way to be deleted
    /run/mailadmin/bridge.sock bridge.pid full.sock

The accounts' maps are beside the database, not below its group-writable folder:
Sendmail refuses a map under a directory that others than root can write.
"""

from pathlib import Path
from typing import Dict, FrozenSet, NamedTuple, Tuple

STATE = "/var/lib/mailadmin"
CURRENT = STATE + "/current"
RUN = "/run/mailadmin"
HELPER = "/usr/local/lib/mailadmin/hostctl"
ADMIN_USER = "mailadmin"

GENERATION_TOKEN = "@GENERATION@"
"""In rendered text; `stage` writes the generation's own folder in its place."""

VMAIL_USER, VMAIL_UID, VMAIL_GID = "vmail", 5000, 5000
MAIL = STATE + "/mail"

DATA_GROUP = "dovecot"
ACCOUNTS_DB = STATE + "/accounts/db/accounts.sqlite"
LAST_LOGIN_DB = STATE + "/accounts/db/lastlogin.sqlite"
MAPS = STATE + "/accounts/maps"
"""Folder of the maps; a map is named in the cf without its `.db`: MAPS + "/access"."""

LOCKS: Tuple[str, ...] = ("lock", "accounts.lock", "erase.lock", "identity.lock")
"""lock           one verb at a time that touches generations, keys or daemons
accounts.lock  one at a time that touches the accounts: a suspension does not wait for a switch
erase.lock     one at a time that deletes mail, which may take long and stops nobody else
identity.lock  held for a moment, to count a request
Whoever takes several takes them in this order."""

MAP_NAMES: Tuple[str, ...] = ("access", "aliases", "mailertable", "sendas", "cansend")
"""access       To:address RELAY, To:domain ERROR:...     (FEATURE access_db, blocklist_recipients)
aliases      address -> targets for the dovecot mailer     (ALIAS_FILE, beside /etc/mail/aliases)
mailertable  domain -> dovecot:localhost
sendas       login:sender OK                               (Kmap in Local_check_mail)
cansend      login OK                                      (Kmap in Local_check_mail)"""

DELIVERY_MAILER = "dovecot"
"""Name of the LMTP mailer in the rendered cf (`Mdovecot, P=[IPC] ...`)."""

BRIDGE_SOCKET = RUN + "/bridge.sock"
"""`saslauthd_path` in Sendmail.conf."""
BRIDGE_PID = RUN + "/bridge.pid"
DOVECOT_AUTH_SOCKET = "/run/dovecot/auth-client"
"""`service auth { unix_listener auth-client { mode = 0600 user = dovecot } }`: the bridge
gives up root for Dovecot's own user once its socket is bound."""
BRIDGE_USER = "dovecot"
FULL_SOCKET = RUN + "/full.sock"
"""Sendmail asks the bridge here, as a socketmap, whether a recipient's mailbox is full."""
DOVECOT_QUOTA_SOCKET = "/run/dovecot/mailadmin-quota"
"""`service quota-status`: the bridge asks it, in Postfix's policy protocol."""
LOOKUP_SOCKET = RUN + "/lookup.sock"
"""Postfix asks the bridge here who its recipients and senders are: socketmap tables
`domain`, `mailbox`, `alias` and `owner`, straight from the account database."""
POLICY_SOCKET = RUN + "/policy.sock"
"""Postfix asks the bridge here, in its policy protocol, whether a session may still send."""
AUTH_SOCKET = RUN + "/auth.sock"
"""Postfix signs people in here, in Dovecot's auth protocol, which the bridge passes on."""
POSTFIX_USER = "postfix"
POSTFIX = "/usr/sbin/postfix"
POSTFIX_PID = "/var/spool/postfix/pid/master.pid"
DOVECOT_LMTP_SOCKET = "/run/dovecot/lmtp"
DOVECOT_PID = "/run/dovecot/master.pid"


class Family(NamedTuple):
    """Where a family of systems has what the rendering and the helper name.

    `packages` of each daemon, the one that is asked for its version first.  `sendmail_pid` is
    `confPID_FILE`, as the system's own cf has it; `sendmail_user` and `sendmail_group` own its
    folder, empty where that is root's.
    """

    packages: Dict[str, Tuple[str, ...]]
    sendmail_cf: str
    sendmail_ostype: str
    sendmail_pid: str
    sendmail_aliases: str
    sendmail_user: str
    sendmail_group: str
    ca_path: str
    ca_file: str


FAMILIES: Dict[str, Family] = {
    "debian": Family(
        packages={
            "sendmail": ("sendmail-bin", "sendmail-cf", "m4"),
            "postfix": ("postfix",),
            "dovecot": ("dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "dovecot-sqlite"),
        },
        sendmail_cf="/usr/share/sendmail/cf",
        sendmail_ostype="debian",
        sendmail_pid="/run/sendmail/mta/sendmail.pid",
        sendmail_aliases="/etc/mail/aliases",
        sendmail_user="smmta",
        sendmail_group="smmsp",
        ca_path="/etc/ssl/certs",
        ca_file="",
    ),
    "fedora": Family(
        packages={
            "sendmail": ("sendmail", "sendmail-cf", "m4", "procmail"),
            "postfix": ("postfix",),
            "dovecot": ("dovecot",),
        },
        sendmail_cf="/usr/share/sendmail-cf",
        sendmail_ostype="linux",
        sendmail_pid="/run/sendmail.pid",
        sendmail_aliases="/etc/aliases",
        sendmail_user="",
        sendmail_group="",
        ca_path="/etc/pki/tls/certs",
        ca_file="/etc/pki/tls/certs/ca-bundle.crt",
    ),
}
"""Debian's are Debian 12's and 13's and Ubuntu 24.04's; Fedora's are as in the spec files of its
sendmail, postfix and dovecot: nothing of that family was run.  Postfix has no row: its folders are
compiled in, and the only one that differs, its daemons', nobody here names."""


class BundleFile(NamedTuple):
    """One path that a bundle may hold: octal mode, greatest size, services to tell."""

    mode: int
    cap: int
    services: FrozenSet[str]


_ALL = frozenset({"sendmail", "postfix", "dovecot"})
_SENDMAIL = frozenset({"sendmail"})
_POSTFIX = frozenset({"postfix"})
_DOVECOT = frozenset({"dovecot"})

BUNDLE_FILES: Dict[str, BundleFile] = {
    "sendmail/sendmail.mc": BundleFile(0o644, 512 * 1024, _SENDMAIL),
    "sendmail/Sendmail.conf": BundleFile(0o644, 16 * 1024, _SENDMAIL),
    "postfix/main.cf": BundleFile(0o644, 512 * 1024, _POSTFIX),
    "postfix/master.cf": BundleFile(0o644, 64 * 1024, _POSTFIX),
    "dovecot/dovecot23.conf": BundleFile(0o644, 512 * 1024, _DOVECOT),
    "dovecot/sql23.ext": BundleFile(0o644, 64 * 1024, _DOVECOT),
    "dovecot/app23.ext": BundleFile(0o644, 64 * 1024, _DOVECOT),
    "dovecot/lastlogin23.ext": BundleFile(0o644, 64 * 1024, _DOVECOT),
    "dovecot/dovecot24.conf": BundleFile(0o644, 512 * 1024, _DOVECOT),
    "tls/chain.pem": BundleFile(0o644, 256 * 1024, _ALL),
    "tls/ca.pem": BundleFile(0o644, 256 * 1024, _ALL),
}
"""`tls/key.pem` is never in a bundle: it comes from keys/ by the key's id."""

BUILT_CF = "sendmail/sendmail.cf"
DOVECOT_LINK = "dovecot/dovecot.conf"
KEY_FILE = "tls/key.pem"
MANIFEST = "manifest.json"

READ_BY: Dict[str, FrozenSet[str]] = {
    **{name: each.services for name, each in BUNDLE_FILES.items()},
    BUILT_CF: _SENDMAIL,
    DOVECOT_LINK: _DOVECOT,
    KEY_FILE: _ALL,
}
"""Every file of a generation that a daemon reads -> the services to tell when it changes."""

READ_AT_START: FrozenSet[str] = frozenset({"sendmail/Sendmail.conf", "postfix/master.cf"})
"""What a daemon reads once (libsasl's file) or acts on once (Postfix's listeners): a change of it
needs a restart, a change of anything else a reload."""

WELL_KNOWN: Dict[str, str] = {
    "/etc/mail/sendmail.cf": BUILT_CF,
    "/etc/dovecot/dovecot.conf": DOVECOT_LINK,
    "/etc/sasl2/Sendmail.conf": "sendmail/Sendmail.conf",
    "/etc/postfix/main.cf": "postfix/main.cf",
    "/etc/postfix/master.cf": "postfix/master.cf",
}
"""A system's own path -> what it links to below `current`; a host has those of its own MTA.

libsasl looks in /etc/sasl2 first.  Its SASL_CONF_PATH is of no use: Sendmail is set-gid, and
libsasl then ignores the environment (tried on Debian 12 and 13)."""


class Layout:
    """The table rooted somewhere: `/` on a host, a temporary folder in unit tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        """A host's absolute path below this root."""
        return self.root / path.lstrip("/")

    @property
    def state(self) -> Path:
        return self.at(STATE)

    @property
    def identity(self) -> Path:
        return self.state / "host.json"

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def generations(self) -> Path:
        return self.state / "generations"

    def generation(self, number: int) -> Path:
        return self.generations / str(number)

    @property
    def current(self) -> Path:
        return self.at(CURRENT)

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def accounts_db(self) -> Path:
        return self.at(ACCOUNTS_DB)

    @property
    def last_login_db(self) -> Path:
        return self.at(LAST_LOGIN_DB)

    @property
    def maps(self) -> Path:
        return self.at(MAPS)

    @property
    def mail(self) -> Path:
        return self.at(MAIL)

    @property
    def run(self) -> Path:
        return self.at(RUN)

    def os_release(self) -> Dict[str, str]:
        """os-release(5); empty where there is none."""
        try:
            lines = self.at("/etc/os-release").read_text("utf-8", "replace").splitlines()
        except OSError:
            return {}
        pairs = (line.partition("=") for line in lines)
        return {name: value.strip('"') for name, _, value in pairs}

    @property
    def family(self) -> str:
        """`fedora` for Fedora and what descends from it, else `debian`: keys of `FAMILIES`."""
        found = self.os_release()
        known = {found.get("ID", ""), *found.get("ID_LIKE", "").split()}
        return "fedora" if known & {"fedora", "rhel", "centos"} else "debian"

    @property
    def mta(self) -> str:
        """`postfix` where that is installed, else `sendmail`: a system has one of them."""
        return "postfix" if self.at(POSTFIX).exists() else "sendmail"

    def own_paths(self) -> Dict[str, str]:
        """`WELL_KNOWN` without the other MTA's."""
        services = (self.mta, "dovecot")
        return {
            path: inner
            for path, inner in WELL_KNOWN.items()
            if any(each in READ_BY[inner] for each in services)
        }

    def well_known(self) -> Dict[Path, Path]:
        """The system's paths -> the links' targets below `current`, both rooted here."""
        return {self.at(path): self.current / inner for path, inner in self.own_paths().items()}
