"""Sentences about authorities that were made elsewhere and are imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    # the key
    "import_key_missing": _("Choose the file with the root's private key."),
    "import_key_unreadable": _(
        "This is no private key that can be read. It is a file that begins with -----BEGIN … "
        "PRIVATE KEY-----, or the same in DER."
    ),
    "import_key_is_certificate": _(
        "This is a certificate. The private key is another file, often with the ending .key."
    ),
    "import_key_several": _(
        "There are several private keys in this file. Choose the root's alone."
    ),
    "import_key_cipher": _(
        "The key is encrypted in a way that is not supported any more. Encrypt it anew with "
        "“openssl rsa -aes256 -in old.key -out new.key” and import that file."
    ),
    "import_passphrase_missing": _("This key is encrypted. Enter the passphrase it was made with."),
    "import_passphrase_superfluous": _(
        "This key is not encrypted: leave its passphrase empty, and choose a new one below."
    ),
    "import_passphrase_wrong": _(
        "The passphrase does not open the key. Upper and lower case count. Nothing was taken over: "
        "choose the key again and try another passphrase."
    ),
    "import_passphrase_weak": _(
        "The key's passphrase is too weak to be kept: %(problem)s Choose a new one below; the old "
        "one is only used to open the file."
    ),
    "import_passphrase_new": _(
        "Choose a new passphrase: the key has none, and a root is never kept without."
    ),
    "import_key_rsa_small": _(
        "The root's key is %(found)s. Keys below 2048 bits can be broken, so whoever wants could "
        "sign in its name. Make a new root and new certificates."
    ),
    "import_key_rsa_large": _("The root's key is %(found)s; at most 8192 bits can be used."),
    "import_key_rsa_exponent": _(
        "The root's RSA key has the exponent %(found)s, which clients refuse. Make a new root."
    ),
    "import_key_curve": _(
        "The root's key is on the curve %(found)s, which many clients refuse. Make a new root."
    ),
    "import_key_kind": _("The root has a key of the kind %(found)s, which cannot be used here."),
    "import_key_other": _(
        "The key is not the certificate's: it belongs to another one. Nothing was taken over. "
        "Choose the key that the root was made with."
    ),
    # the certificate
    "import_certificate_missing": _("Choose the file with the root's certificate."),
    "import_certificate_unreadable": _(
        "This is no certificate that can be read. It is a file that begins with -----BEGIN "
        "CERTIFICATE-----, or the same in DER (.crt, .cer)."
    ),
    "import_certificate_is_key": _(
        "This is a private key. The certificate is another file, often with the ending .crt."
    ),
    "import_certificate_several": _(
        "There are several certificates in this file. Choose the root's alone here, and the others "
        "as issued certificates."
    ),
    "import_root_name": _(
        "The root's name, “%(name)s”, is written in an encoding that certificates may not use "
        "(Latin-1 as T61String). It cannot be written into new certificates, so that nothing could "
        "be signed under it. Make a new root."
    ),
    "import_root_not_root": _(
        "This certificate was signed by “%(issuer)s”. Only roots, which signed themselves, are "
        "imported: import that root first, and make an issuing authority under it."
    ),
    "import_root_hash": _(
        "The root is signed with a broken hash (%(found)s): others can forge certificates under "
        "it. Make a new root and new certificates."
    ),
    "import_root_signature": _(
        "The root's own signature is not right: the file was changed, or it is not its "
        "certificate. Look for another copy of it."
    ),
    "import_root_no_authority": _(
        "This certificate is not an authority's: it does not say CA:TRUE, or its key must not sign "
        "certificates. Choose the root's certificate, not a host's."
    ),
    "import_here": _(
        "The authority with this key is here already, as “%(name)s”. A key is imported once."
    ),
    "import_name_missing": _("Enter a name for the authority."),
    "import_name_long": _("The name may have at most 64 characters."),
    "import_serial_unreadable": _(
        "This is no serial file: it holds one hexadecimal number, such as 01 or 3940."
    ),
    "import_too_many": _("At most %(most)s certificates can be imported at once."),
    "import_too_big": _("The files have more than %(most)s together. Choose fewer at once."),
    "import_archive_damaged": _(
        "The archive “%(name)s” is damaged or encrypted. Pack the folder again as .zip or .tar.gz."
    ),
    # notes about the root
    "root_ended": _(
        "It has ended: no device believes it. Signed anew it lives on, with the same key."
    ),
    "root_sha1": _("It is signed with SHA-1: current devices refuse to install or believe it."),
    "root_constraints": _("It says CA:TRUE, but not as critical, which strict clients ask for."),
    "root_usage": _("It does not say that its key signs certificates and revocation lists."),
    "root_no_identifier": _("It has no key identifier, by which clients find it."),
    "root_path_length": _(
        "It allows no authority below it (path length 0): new certificates need a new root."
    ),
    "root_serial_zero": _(
        "Its serial number is 0, which is not allowed any more; it does no harm."
    ),
    # why a file was left out
    "left_is_root": _("It is the root itself."),
    "left_twice": _("The same certificate was in the upload before."),
    "left_other_issuer": _("Another authority signed it: %(issuer)s."),
    "left_hash": _("It is signed in a way that cannot be checked."),
    "left_signature": _("It names this root, but the root's key did not sign it."),
    "left_serial_zero": _(
        "Its serial number is 0 or less: a revocation list cannot name it, so it could never be "
        "revoked. Replace it soon."
    ),
    "left_serial_long": _(
        "Its serial number is longer than 20 octets: a revocation list cannot name it, so it could "
        "never be revoked. Replace it soon."
    ),
    "left_serial_seen": _("“%(other)s” has the same serial number, and a number counts once."),
    "left_key": _("Its public key cannot be read."),
    "left_is_key": _("A private key. It was not looked at and is not kept."),
    "left_is_request": _("A request, not a certificate."),
    "left_no_certificate": _("No certificate is in it."),
    "left_unreadable": _("The certificate in it is damaged."),
    "left_stored": _("It was here already."),
    "left_missing": _(
        "The index says that it was revoked, but its certificate is not among the files: it cannot "
        "be on the new revocation list."
    ),
    # what to know about a certificate that was taken over
    "note_version_1": _(
        "Version 1, without extensions: current clients refuse it, since it names no host."
    ),
    "note_name": _("Its name is in an encoding that is not allowed (Latin-1 as T61String)."),
    "note_md5": _("It is signed with MD5, which every client refuses."),
    "note_key": _("Its key is too weak, or of a kind that clients refuse."),
    "note_issuer_serial": _(
        "It names the root by its serial number: it is only found valid with the old root."
    ),
    "note_extensions": _("Its extensions cannot be read."),
}

# A ceremony of this kind, step by step.
STEPS: Mapping[str, Any] = {
    "import_open": _("Open the key and compare it with the certificate"),
    "import_seal": _("Seal it under the passphrase"),
    "import_store": _("Store the authority"),
    "import_issued": _("Store the certificates it has signed"),
}
