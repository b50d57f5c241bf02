"""The accounts' database on the host: one SQLite file that Dovecot queries in place.

Changes are additive only (a new table, or a column with a default): an old rendering
must go on working against a new database, because no rollback ever touches it.
`PRAGMA user_version` counts the steps of `STEPS` that were applied.

    account   one row a mailbox; what Dovecot's passdb and userdb read
      address      'alice@example.test', lower case, the key
      password     '{ARGON2ID}$argon2id$...', a hash with its scheme, never clear text
      can_login    1: IMAP, POP3 and SMTP AUTH; 0: suspended, a passdb query must not
                   return the row (`... AND can_login = 1`)
      can_send     1: may submit mail (the `cansend` map is made from it)
      receives     1: mail is accepted at RCPT time
      quota_bytes  0: no limit
    app_password  passwords of a mailbox's for one program each
      selector     the first eight characters, by which Dovecot finds the row
      imap pop3 sending   1: it is good for that
      expires_at   seconds since 1970, 0: never
    alias     address -> targets, a JSON list of addresses: '["alice@example.test"]'
    domain    the domains whose mailboxes live on this host
      mailboxes    how many there are, kept by triggers: to count a million takes longer than
                   to change one
    meta      one row: the lineage of the console's change log and the last change
              that is in here; `dirty` names the maps still to be rebuilt, so that a
              power cut between commit and rebuild is repaired by `recover`;
              `own_name` is the server's name that the access map was built for

The last logins are a database of their own, written by Dovecot's dict process and the bridge.

    last_login  one row a mailbox; written by older renderings, which do not tell protocols apart
    last_use    one row a mailbox and protocol (imap, pop3, smtp), and one for each app
                password that it was with ('imap:abcd2345', after the selector)
    submission  which process of Sendmail's somebody signed in at; `started` tells it from a
                later one of the same number
    recording   since when each protocol's logins are written; no row: they are not
    mailbox_size  one row a mailbox: what its mail takes, in bytes and messages, by Dovecot's
                quota_clone at every change; a trigger says when
"""

from typing import Tuple

STEPS: Tuple[str, ...] = (
    """
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        lineage TEXT,
        through_change INTEGER NOT NULL DEFAULT 0,
        own_name TEXT NOT NULL DEFAULT '',
        dirty TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO meta (id) VALUES (1);
    CREATE TABLE domain (
        name TEXT PRIMARY KEY NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE account (
        address TEXT PRIMARY KEY NOT NULL,
        password TEXT NOT NULL,
        can_login INTEGER NOT NULL DEFAULT 1,
        can_send INTEGER NOT NULL DEFAULT 1,
        receives INTEGER NOT NULL DEFAULT 1,
        quota_bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE alias (
        address TEXT PRIMARY KEY NOT NULL,
        targets TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE app_password (
        address TEXT NOT NULL,
        selector TEXT NOT NULL,
        password TEXT NOT NULL,
        imap INTEGER NOT NULL DEFAULT 0,
        pop3 INTEGER NOT NULL DEFAULT 0,
        sending INTEGER NOT NULL DEFAULT 0,
        expires_at INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (address, selector)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE domain ADD COLUMN mailboxes INTEGER NOT NULL DEFAULT 0;
    UPDATE domain SET mailboxes = known FROM (
        SELECT substr(address, instr(address, '@') + 1) AS named, count(*) AS known
        FROM account GROUP BY named
    ) WHERE named = name;
    CREATE TRIGGER account_made AFTER INSERT ON account BEGIN
        UPDATE domain SET mailboxes = mailboxes + 1
        WHERE name = substr(NEW.address, instr(NEW.address, '@') + 1);
    END;
    CREATE TRIGGER account_gone AFTER DELETE ON account BEGIN
        UPDATE domain SET mailboxes = mailboxes - 1
        WHERE name = substr(OLD.address, instr(OLD.address, '@') + 1);
    END;
    """,
)

LAST_LOGIN_STEPS: Tuple[str, ...] = (
    """
    CREATE TABLE last_login (
        userid TEXT PRIMARY KEY NOT NULL,
        last_login INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE IF NOT EXISTS last_use (
        userid TEXT NOT NULL,
        protocol TEXT NOT NULL,
        last_login INTEGER NOT NULL,
        PRIMARY KEY (userid, protocol)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS last_use_at ON last_use (last_login);
    CREATE TABLE IF NOT EXISTS recording (
        protocol TEXT PRIMARY KEY NOT NULL,
        since INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE mailbox_size (
        userid TEXT PRIMARY KEY NOT NULL,
        bytes INTEGER NOT NULL DEFAULT 0,
        messages INTEGER NOT NULL DEFAULT 0,
        changed_at INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX mailbox_size_changed ON mailbox_size (changed_at);
    CREATE TRIGGER mailbox_size_made AFTER INSERT ON mailbox_size BEGIN
        UPDATE mailbox_size SET changed_at = CAST(strftime('%s', 'now') AS INTEGER)
        WHERE userid = NEW.userid;
    END;
    CREATE TRIGGER mailbox_size_moved AFTER UPDATE OF bytes, messages ON mailbox_size BEGIN
        UPDATE mailbox_size SET changed_at = CAST(strftime('%s', 'now') AS INTEGER)
        WHERE userid = NEW.userid;
    END;
    """,
    """
    CREATE TABLE submission (
        pid INTEGER PRIMARY KEY NOT NULL,
        started TEXT NOT NULL,
        userid TEXT NOT NULL
    );
    CREATE INDEX submission_of ON submission (userid);
    """,
    """
    CREATE TABLE ended (
        userid TEXT PRIMARY KEY NOT NULL,
        at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
)
