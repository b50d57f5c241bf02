"""Sentences of the commands, for whoever is at the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    # the row's work
    "keys_not_held": _(
        "This user may not read the keys in %(keys)s, and no running console did it within "
        "%(seconds)s seconds. It stays asked for: start the console, which does it then. Or run "
        "the command as a user who may read them, root for example."
    ),
    "keys_not_held_withdrawn": _(
        "This user may not read the keys in %(keys)s, and no running console did it within "
        "%(seconds)s seconds. Nothing was issued. Start the console and try again, or run the "
        "command as a user who may read them, root for example."
    ),
    "keys_not_held_passphrase": _(
        "This user may not read the keys in %(keys)s, so the passphrase cannot be handed to the "
        "signer. Run the command as a user who may read them, root for example. Nothing was made."
    ),
    "not_in_time": _(
        "The running console has taken it and did not end within %(seconds)s seconds. Wait, or "
        "look at its page; with --wait the command waits longer."
    ),
    "not_in_time_withdrawn": _(
        "The signer did not come to it within %(seconds)s seconds. Nothing was issued; with --wait "
        "the command waits longer."
    ),
    "in_hand": _(
        "The signer has order %(order)s in hand and did not end in time. Its key is in %(path)s; "
        "fetch the certificate with ./run manage export once it is signed."
    ),
    # what was named
    "constraints_missing_here": _(
        "Name the domains and networks it may sign for with --permit. Without them a stolen key "
        "could speak for any server in the world; if that is what you want, say --unconstrained."
    ),
    "serial_malformed": _(
        "“%(value)s” is no serial number. Write hexadecimal digits, such as 4f0a12 or 4F:0A:12."
    ),
    "serial_unknown": _(
        "There is no certificate whose serial number begins with %(value)s. The list of "
        "certificates in the console shows the numbers."
    ),
    "serial_ambiguous": _(
        "Several certificates have a serial number that begins with %(value)s: %(found)s. Write "
        "more digits, or name the issuer with --issuer."
    ),
    "issuer_unknown": _("There is no authority called “%(value)s”. Known: %(known)s."),
    "issuer_ambiguous": _(
        "Several authorities' names begin with “%(value)s”: %(known)s. Write the whole name."
    ),
    "not_a_root": _("“%(value)s” is no root. Roots: %(known)s."),
    "list_missing": _("“%(issuer)s” has no revocation list yet."),
    "form_unknown": _("“%(value)s” is no format. Known: %(known)s."),
    "out_missing": _("Name the folder for the new key and certificate with --out."),
    # files
    "folder_big": _("The folder %(path)s holds too much to be an authority's certificates."),
    # warnings
    "public_url_missing": _(
        "MAILADMIN_PUBLIC_URL is not set: certificates will not say where their revocation list "
        "is. That cannot be added to certificates that are out."
    ),
    "root_list_waits": _(
        "The revocation list of “%(issuer)s” needs its passphrase. Sign it with: "
        './run manage crl --issuer "%(issuer)s" --passphrase-file FILE --out FILE'
    ),
    "list_waits": _("The revocation list was not signed yet; the console does it when it runs."),
}
