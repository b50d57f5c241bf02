"""Sentences about authorities and ceremonies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    # authorities
    "name_taken": _("There is already an authority called “%(value)s”. Choose another name."),
    "names_equal": _("The root and the issuing authority need different names."),
    "constraints_missing": _(
        "Enter the domains the issuing authority may sign for. Without them a stolen key could "
        "speak for any server in the world; if that is what you want, say so below."
    ),
    "origin_bad": _(
        "“%(value)s” is no public address. Write http:// and the host's name, such as "
        "http://pki.example.com, without a path."
    ),
    "origin_https": _(
        "Use http://, not https://: clients fetch these files to check a certificate, and could "
        "not check the one of the address itself."
    ),
    "root_unknown": _("This root is not here any more. Choose another."),
    "root_ended": _(
        "“%(root)s” has expired or is no longer valid. Choose another, or make a new one."
    ),
    "days_long": _("At most %(most)s days."),
    "wrong_passphrase": _(
        "The passphrase does not open “%(root)s”. Nothing was made. Try again with the right one; "
        "upper and lower case count."
    ),
    "root_key_unusable": _(
        "The sealed key of “%(root)s” is damaged. Restore it from a backup of the database."
    ),
    "passphrase_short": _("A passphrase needs at least 12 characters. Several words are easiest."),
    "passphrase_long": _("A passphrase may have at most 1024 characters."),
    "passphrase_monotonous": _(
        "The passphrase repeats too few different characters. Several words are easiest."
    ),
    "passphrase_derived": _(
        "The passphrase is made of the authority's or organisation's name, which anybody can guess."
    ),
    "passphrase_expired": _(
        "The signer did not come to it within an hour, and the passphrase was erased. See that the "
        "console's signer is running, then try again."
    ),
    "passphrase_lost": _(
        "The passphrase could not be read by the signer, whose key has changed. Try again."
    ),
    "not_refused": _("Only what was refused can be tried again."),
    "not_retriable": _("This cannot be tried again as it was. Enter it anew."),
    "passphrase_missing": _("Enter the passphrase of the root."),
    "slowed_down": _(
        "The wrong passphrase was given for “%(root)s” too often. It is not tried again before "
        "%(until)s (in %(minutes)s min); each further wrong one doubles the wait."
    ),
    "key_elsewhere": _("The key of “%(root)s” is not with this console, so it cannot sign here."),
    "parent_retired": _(
        "“%(root)s” is retired: it signs no more authorities. Use its successor, or reinstate it."
    ),
}
