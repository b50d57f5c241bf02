"""Domains, mailboxes, aliases, and `Change`: the append-only log that mail hosts follow.

A domain lives on one host, named by that host's uuid as text (this app knows no hosts; empty means
"not on a host yet"). Every verb that alters what a host must know appends a Change in its own
transaction; `Change.id` is the change id that `deploy` compares with what a host has reached.
"""

from accounts.models.aliases import Alias
from accounts.models.app_passwords import AppPassword
from accounts.models.changes import Change, ChangeKind
from accounts.models.domains import Domain, PasswordRule
from accounts.models.erasures import Erasure
from accounts.models.flags import Flag, FlagKind, FlagPolicy, WeaknessAudit, WeaknessVerdict
from accounts.models.imports import AccountImport, ImportOutcome, ImportPart
from accounts.models.invitations import Invitation
from accounts.models.mailboxes import SEARCH, Mailbox, MailboxState, search_text
from accounts.models.uses import PROTOCOLS, Evidence, LastUse

__all__ = [
    "PROTOCOLS",
    "SEARCH",
    "AccountImport",
    "Alias",
    "AppPassword",
    "Change",
    "ChangeKind",
    "Domain",
    "Erasure",
    "Evidence",
    "Flag",
    "FlagKind",
    "FlagPolicy",
    "ImportOutcome",
    "ImportPart",
    "Invitation",
    "LastUse",
    "Mailbox",
    "MailboxState",
    "PasswordRule",
    "WeaknessAudit",
    "WeaknessVerdict",
    "search_text",
]
