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
    "algorithm_unknown": _("There is no key “%(value)s”. Choose one of %(known)s."),
    "path_length_range": _("From 0 to %(most)s levels."),
    "path_length_none": _(
        "“%(root)s” may have no authority below it: its path length is 0. Choose one above it."
    ),
    "path_length_long": _(
        "“%(root)s” leaves room for %(most)s levels below this one. Choose fewer."
    ),
    "constraints_wider": _(
        "“%(root)s” may only sign for %(permitted)s, and this is outside: %(names)s. Leave it out: "
        "clients would refuse such certificates."
    ),
    "constraints_dropped": _(
        "“%(root)s” may only sign for %(permitted)s, so what is below it is limited too. Enter "
        "those, or some below them."
    ),
    # a root's certificate anew
    "reissue_root_only": _("“%(root)s” is no root, so it cannot sign itself anew."),
    # rollover
    "successor_root": _("Only an authority below a root has a successor. Make a new root instead."),
    "successor_there": _("“%(name)s” already has a successor: “%(successor)s”."),
    "retire_root": _(
        "“%(name)s” cannot be retired: only an authority that signs here, below a root, can."
    ),
    "retired_already": _("“%(name)s” is retired already."),
    "not_retired": _("“%(name)s” is not retired."),
    "reinstate_ended": _("“%(name)s” has ended or was revoked, so it cannot sign again."),
    # roots elsewhere
    "csr_key_known": _(
        "The key of this request is already that of an authority here. Make a new key and request."
    ),
    "not_waiting_for_certificate": _("“%(name)s” is not waiting for a certificate."),
    "chain_empty": _("There is no certificate. Paste it, or choose its file."),
    "chain_too_big": _("This is larger than %(most)s, so it is no chain of certificates."),
    "chain_private_key": _(
        "This contains a private key. It was not stored. Send only certificates, and make that key "
        "anew: it should not have left its place."
    ),
    "chain_is_request": _(
        "This is the request, not the certificate. Let the root sign it, and send what comes back."
    ),
    "chain_long": _("More than %(most)s certificates are no chain for mail programs."),
    "chain_unreadable": _(
        "This cannot be read as a certificate. Copy it again, with its BEGIN and END lines."
    ),
    "chain_other_key": _(
        "None of these certificates is for this authority's key; the first is for “%(subject)s”. "
        "Let the root sign the request that this page offers."
    ),
    "chain_self_signed": _(
        "This certificate is signed by its own key, not by a root. Let the root sign the request."
    ),
    "chain_incomplete": _(
        "The certificate of “%(missing)s” is missing. Add it to the chain below, up to the root."
    ),
    "chain_signature": _(
        "The signature on “%(subject)s” is not by the certificate of “%(issuer)s” that was sent. "
        "Send the right one."
    ),
    "chain_weak": _(
        "“%(subject)s” is signed with %(found)s, which can be forged. Let it be signed with "
        "SHA-256."
    ),
    "chain_no_authority": _(
        "“%(subject)s” is no authority: critical basicConstraints CA:TRUE and a keyUsage with "
        "keyCertSign and cRLSign are needed. Let it be signed as a subordinate authority."
    ),
    "chain_ended": _("“%(subject)s” ended on %(end)s. Let it be signed anew."),
    "chain_early": _("“%(subject)s” is not valid before %(begin)s UTC. Wait, or check the clock."),
    "chain_levels": _(
        "“%(subject)s” allows %(most)s levels of authorities below it, and there would be "
        "%(below)s."
    ),
    "chain_constraints": _(
        "The authorities above may only sign for %(permitted)s, which leaves nothing of what this "
        "one may sign for."
    ),
    "chain_waiting": _("“%(name)s”, which stands in the chain, waits for its own certificate."),
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

STEPS: Mapping[str, Any] = {
    "request": _("Write its request (CSR)"),
    "reissue": _("Sign the root's certificate anew"),
    "subordinate": _("Sign the certificate of the authority elsewhere"),
}

# What to know before a key is chosen.
WARNINGS: Mapping[str, Any] = {
    "ed25519": _(
        "Ed25519: Windows and Outlook, iPhones, iPads and Macs, Android, Thunderbird and browsers "
        "do not accept such certificates. OpenSSL and GnuTLS do, so it is for servers among "
        "themselves."
    ),
    "unconstrained": _(
        "Without limits, whoever steals its key can pose as any server to everyone who trusts the "
        "root."
    ),
}
