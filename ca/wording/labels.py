"""Words of fields, steps, profiles and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

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
    "ocsp": _("Revocation answers (OCSP)"),
    "issuer_address": _("Issuer's certificate"),
    "fingerprint_sha256": _("SHA-256 fingerprint"),
    "fingerprint_sha1": _("SHA-1 fingerprint"),
    "ocsp_no_check": _("Revocation"),
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

# RFC 5280 section 5.3.1, in the words of the page.
REASONS: Mapping[str, Any] = {
    "unspecified": _("no particular reason"),
    "keyCompromise": _("its key may be in other hands"),
    "cACompromise": _("the authority's key may be in other hands"),
    "affiliationChanged": _("its holder's organisation or name has changed"),
    "superseded": _("another certificate has taken its place"),
    "cessationOfOperation": _("what it was for has ended"),
    "privilegeWithdrawn": _("its holder may no longer have it"),
    "aACompromise": _("what it says of its holder was compromised"),
    "certificateHold": _("on hold"),
}

PROFILES: Mapping[str, Any] = {
    "host": _("Mail host (TLS)"),
    "person": _("Person (S/MIME)"),
    "client": _("Client authentication"),
    "ocsp": _("OCSP responder"),
    "root": _("Root"),
    "subordinate": _("Issuing authority"),
}


LINTS: Mapping[str, Any] = {
    "serial_is_positive_and_short": _("serial number out of range (%(detail)s)"),
    "serial_is_random": _("serial number that is not random (%(detail)s)"),
    "validity_has_a_length": _("it ends before it begins (%(detail)s)"),
    "validity_is_within_the_issuers": _("it would outlive its issuer, which ends on %(detail)s"),
    "validity_is_within_the_profiles": _("it would live longer than %(detail)s days"),
    "issuer_may_sign": _("its issuer may not sign certificates (%(detail)s)"),
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
    "only_responders_go_unchecked": _(
        "only an OCSP responder's certificate is taken without a look at its revocation"
    ),
    "leaf_says_whose_it_is": _("it has neither a subject nor a name"),
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

# The same rules as what each demands: the preview lists those that are met.
RULES: Mapping[str, Any] = {
    "serial_is_positive_and_short": _("The serial number is positive and has at most 20 octets"),
    "serial_is_random": _("The serial number is drawn at random"),
    "validity_has_a_length": _("It ends after it begins"),
    "validity_is_within_the_issuers": _("It ends before its issuer does"),
    "validity_is_within_the_profiles": _("It lives no longer than its kind may"),
    "issuer_name_is_the_issuers": _("It names its issuer as the issuer names itself"),
    "issuer_may_sign": _("Its issuer is an authority and may sign certificates"),
    "subject_fields_are_short": _("Name and organisation fit into their fields"),
    "subject_is_printable": _("The subject is plain text"),
    "country_is_two_letters": _("The country is a code of two letters"),
    "authority_has_a_subject": _("An authority has a name"),
    "key_is_strong": _("Its key is strong enough, and of a kind that clients take"),
    "key_is_not_the_issuers": _("Its key is not its issuer's"),
    "extensions_appear_once": _("No extension appears twice"),
    "basic_constraints_fit": _("It says whether it is an authority, and says so as critical"),
    "path_length_is_within_the_issuers": _(
        "No more levels of authorities stand below its issuer than that allows"
    ),
    "key_usage_fits": _("Its key may be used for what its kind needs, and for nothing else"),
    "extended_key_usage_is_the_profiles": _("It serves the purposes of its kind, and no others"),
    "only_responders_go_unchecked": _(
        "Only an OCSP responder's certificate is taken without a look at its revocation"
    ),
    "leaf_says_whose_it_is": _("It says whose it is"),
    "alternative_name_is_present": _("Its names stand where clients look for them"),
    "alternative_name_is_critical_without_subject": _(
        "Its names are critical when there is no subject, and only then"
    ),
    "names_are_well_formed": _("Its names are well formed, and no wildcard reaches too far"),
    "names_appear_once": _("No name appears twice"),
    "names_are_of_the_profiles_kinds": _("Its names are of the kinds it may carry"),
    "common_name_is_among_the_names": _(
        "The common name is one of its names, or a person's that looks like none"
    ),
    "names_are_within_the_constraints": _("Its issuer may sign for each of its names"),
    "constraints_stand_only_in_authorities": _("Name constraints stand in authorities only"),
    "subject_key_identifier_is_present": _("It has an identifier of its key"),
    "authority_key_identifier_is_the_issuers": _("It points to its issuer's key"),
    "addresses_are_plain_http": _("Its addresses can be fetched without a certificate"),
}

# Kinds of name, and purposes (extended key usages), as the page of profiles says them.
NAME_KINDS: Mapping[str, Any] = {
    "dns": _("host names"),
    "ip": _("IP addresses"),
    "email": _("mail addresses"),
}
PURPOSES: Mapping[str, Any] = {
    "serverAuth": _("TLS server"),
    "clientAuth": _("TLS client"),
    "emailProtection": _("signed and encrypted mail"),
    "OCSPSigning": _("answers about revocation"),
}
