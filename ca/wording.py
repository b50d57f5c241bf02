"""The operator's sentences for the codes that the pure modules and the verbs use.

    sentence("csr_signature", {})      why, and what to do next, in the reader's language
    finding(lints.Finding(...))        one broken rule

A row keeps the code and its detail, never the sentence: each reader has a language of his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ca.lints import Finding

SENTENCES: Mapping[str, Any] = {
    # names
    "name_empty": _("One of the names is empty. Leave it out."),
    "name_control": _(
        "“%(value)s” contains a space or a control character. Write one name a line, without "
        "spaces."
    ),
    "name_idn": _(
        "“%(value)s” is not a valid international name (IDNA 2008). Check its spelling, or write "
        "its xn-- form."
    ),
    "name_too_long": _("“%(value)s” is longer than the 253 characters a host name may have."),
    "name_label": _(
        "“%(value)s” is not a host name: between the dots stand letters, digits and hyphens, at "
        "most 63 of them, and a hyphen neither first nor last."
    ),
    "name_trailing_dot": _("“%(value)s” ends with a dot. Leave the dot out."),
    "name_wildcard_place": _(
        "“%(value)s” has its asterisk in the wrong place. Only the whole first label may be one, "
        "as in *.example.com."
    ),
    "name_wildcard_wide": _(
        "“%(value)s” would speak for a whole top-level domain. Name the domain you run."
    ),
    "name_single_label": _(
        "“%(value)s” has no domain. Write the full name that mail programs connect to, such as "
        "mail.example.com."
    ),
    "names_missing": _("A certificate needs at least one name. Enter the name clients connect to."),
    "names_too_many": _(
        "%(value)s names are too many for one certificate: at most 100. Ask for several."
    ),
    "network_bad": _(
        "“%(value)s” is not a network. Write its first address and prefix, such as 192.0.2.0/24."
    ),
    "domain_wide": _(
        "“%(value)s” is a whole top-level domain. Enter the domain of the organisation, such as "
        "example.com."
    ),
    # keys
    "key_rsa_small": _(
        "The key is %(found)s: too short, it can be broken. Make a new key of at least RSA 2048, "
        "or P-256."
    ),
    "key_rsa_large": _(
        "The key is %(found)s: longer than 8192 bits, which many mail programs cannot use. RSA "
        "3072 or P-256 is plenty."
    ),
    "key_rsa_exponent": _(
        "The RSA key has the public exponent %(found)s. Make a new key with the usual 65537."
    ),
    "key_curve": _("The key's curve is %(found)s. Make a new key on P-256 or P-384."),
    "key_kind": _(
        "The key is of the kind %(found)s, which mail programs do not take. Make an RSA or P-256 "
        "key."
    ),
    "key_unreadable": _("The key inside the request cannot be read. Make the request again."),
    # requests
    "csr_empty": _("There is no request. Paste it, or choose its file."),
    "csr_too_big": _("This is larger than %(most)s, so it is not a certificate request."),
    "csr_is_private_key": _(
        "This contains a private key. It was not stored. A key that has left its host should not "
        "be used any more: make a new one, and send only the request (CSR)."
    ),
    "csr_is_certificate": _(
        "This is a certificate, not a request. Send the request (CSR), which begins with "
        "-----BEGIN CERTIFICATE REQUEST-----."
    ),
    "csr_not_request": _(
        "This is “%(found)s”, not a certificate request. Send the part that begins with "
        "-----BEGIN CERTIFICATE REQUEST-----."
    ),
    "csr_several": _("There are several requests in here. Send them one at a time."),
    "csr_cut": _(
        "The request is cut off: its BEGIN and END lines do not fit. Copy it again, with both "
        "lines."
    ),
    "csr_unreadable": _(
        "This cannot be read as a certificate request. Copy it again, with its BEGIN and END lines."
    ),
    "csr_signature": _(
        "The request's own signature is wrong: it was changed, or its maker does not hold the key. "
        "Make the request again."
    ),
    "csr_hash": _(
        "The request is signed with %(found)s, which can be forged. Make it again with SHA-256 "
        "(openssl req -new -sha256)."
    ),
    "csr_name_kind": _(
        "The request asks for a name of the kind %(found)s. A host certificate carries host names "
        "and addresses only."
    ),
    # orders
    "profile_unknown": _("There is no kind of certificate called “%(value)s”."),
    "issuer_unable": _(
        "“%(issuer)s” cannot sign now: it has expired, is no longer valid, or its key is not with "
        "the signer. Choose another issuing authority."
    ),
    "issuer_too_short": _(
        "“%(issuer)s” itself ends on %(end)s. Ask for at most %(most)s days, or make a new issuing "
        "authority."
    ),
    "days_out_of_range": _(
        "A certificate of this kind may live from 1 to %(most)s days. Longer ones are refused by "
        "Apple's systems."
    ),
    "names_outside": _(
        "“%(issuer)s” may only sign for %(permitted)s, and these are outside: %(names)s. Choose "
        "another name, or an authority that may sign for it."
    ),
    "lints": _("The certificate would break a rule: %(findings)s"),
    "not_waiting": _(
        "This order is not waiting for a request any more (it is “%(state)s”). Start a new one."
    ),
    "key_differs": _(
        "The request is for another key than the one this order waits for. Send the request that "
        "was made with key %(expected)s."
    ),
    "already_ended": _("This order has already ended (“%(state)s”)."),
    "cancelled": _("It was cancelled by %(who)s. Nothing was signed."),
    "host_failed": _("The host could not make its key: %(why)s"),
    "key_unusable": _(
        "The signer cannot use the key of “%(issuer)s”. Restore the key-encryption key that "
        "belongs to this database, then ask again."
    ),
    "signer_failed": _(
        "The signer failed several times on this. Its log has the reason; nothing was signed."
    ),
    "not_supersedable": _(
        "Only a valid certificate can be superseded, by another valid one that replaces it."
    ),
    "subject_long": _(
        "“%(value)s” is too long for a certificate: at most 64 letters, or 21 Chinese characters."
    ),
    "subject_control": _(
        "“%(value)s” has a control character in it, or spaces at its ends. Write it as plain text."
    ),
    "subject_country": _(
        "“%(value)s” is no country code. Write two capital letters, such as TW, or leave it empty."
    ),
    "form_unknown": _("There is no form “%(value)s”. Choose one of %(forms)s."),
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
    "root_ended": _("“%(root)s” has expired. Make a new root."),
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
}

LINTS: Mapping[str, Any] = {
    "serial_is_positive_and_short": _("serial number out of range (%(detail)s)"),
    "serial_is_random": _("serial number that is not random (%(detail)s)"),
    "validity_has_a_length": _("it ends before it begins (%(detail)s)"),
    "validity_is_within_the_issuers": _("it would outlive its issuer, which ends on %(detail)s"),
    "validity_is_within_the_profiles": _("it would live longer than %(detail)s days"),
    "issuer_name_is_the_issuers": _("its issuer's name is not that of the issuer (%(detail)s)"),
    "subject_fields_are_short": _("“%(detail)s” is longer than 64 characters"),
    "subject_is_printable": _("%(detail)s has control characters, or spaces at its ends"),
    "country_is_two_letters": _("“%(detail)s” is no country code: two capital letters, such as TW"),
    "authority_has_a_subject": _("an authority needs a name"),
    "key_is_strong": _("its key is too weak (%(detail)s)"),
    "key_is_not_the_issuers": _("its key is the issuer's own"),
    "extensions_appear_once": _("an extension appears twice (%(detail)s)"),
    "basic_constraints_fit": _("basic constraints do not fit (%(detail)s)"),
    "path_length_is_within_the_issuers": _(
        "its issuer allows %(detail)s levels of authorities below it"
    ),
    "key_usage_fits": _("key usage does not fit (%(detail)s)"),
    "extended_key_usage_is_the_profiles": _("extended key usage does not fit (%(detail)s)"),
    "alternative_name_is_present": _("it has no subject alternative name"),
    "alternative_name_is_critical_without_subject": _(
        "subject alternative name is wrongly marked: %(detail)s"
    ),
    "names_are_well_formed": _("“%(detail)s” is not a well-formed name"),
    "names_appear_once": _("“%(detail)s” appears twice"),
    "names_are_of_the_profiles_kinds": _("a certificate of this kind does not carry “%(detail)s”"),
    "common_name_is_among_the_names": _("the common name “%(detail)s” is not among its names"),
    "names_are_within_the_constraints": _(
        "“%(detail)s” is outside the names its issuer may sign for"
    ),
    "constraints_stand_only_in_authorities": _("name constraints stand in the wrong place"),
    "subject_key_identifier_is_present": _("it has no subject key identifier"),
    "authority_key_identifier_is_the_issuers": _(
        "its authority key identifier is not the issuer's (%(detail)s)"
    ),
    "addresses_are_plain_http": _("“%(detail)s” is not a plain http:// address"),
}


def sentence(code: str, detail: Mapping[str, Any] | None = None) -> str:
    """The sentence of `code`, or the code itself for one this version does not know."""
    detail = dict(detail or {})
    if "findings" in detail:
        detail["findings"] = gettext("; ").join(
            finding(Finding(lint, section, text)) for lint, section, text in detail["findings"]
        )
    known = SENTENCES.get(code)
    if known is None:
        return code
    try:
        return str(known) % detail
    except (KeyError, TypeError):
        return str(known)


def finding(found: Finding) -> str:
    """One broken rule with its section: "… (RFC 5280 4.2.1.6)"."""
    known = LINTS.get(found.lint)
    text = str(known) % {"detail": found.detail} if known is not None else found.lint
    return f"{text} ({found.section})"


LABELS: Mapping[str, Any] = {
    "subject": _("Subject"),
    "issuer": _("Issuer"),
    "serial": _("Serial number"),
    "not_before": _("Valid from"),
    "not_after": _("Valid until"),
    "key": _("Key"),
    "key_id": _("Key id (SHA-256)"),
    "names": _("Names"),
    "key_usage": _("Key usage"),
    "extended_key_usage": _("Extended key usage"),
    "basic_constraints": _("Basic constraints"),
    "name_constraints": _("Name constraints"),
    "subject_key_identifier": _("Subject key identifier"),
    "authority_key_identifier": _("Authority key identifier"),
    "crl": _("Revocation list"),
    "issuer_address": _("Issuer's certificate"),
    "fingerprint_sha256": _("SHA-256 fingerprint"),
    "fingerprint_sha1": _("SHA-1 fingerprint"),
    "other": _("Other extension"),
}

# What a ceremony does, as its page shows it.
STEPS: Mapping[str, Any] = {
    "open": _("Open the root's key with the passphrase"),
    "root_key": _("Make the root's key"),
    "seal": _("Seal it under the passphrase"),
    "root": _("Sign the root"),
    "issuing_key": _("Make the issuing authority's key"),
    "issuing": _("Sign the issuing authority with the root"),
    "lists": _("Sign the revocation lists"),
}

PROFILES: Mapping[str, Any] = {
    "host": _("Mail host (TLS)"),
    "root": _("Root"),
    "subordinate": _("Issuing authority"),
}
