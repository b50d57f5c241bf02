"""Sentences about names, keys, requests and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

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
        "“%(value)s” would speak for everybody who has a name under that public suffix. Name the "
        "domain you run, as in *.example.com."
    ),
    "email_local": _(
        "“%(value)s” is not a mail address that a certificate can carry: before the @ stand ASCII "
        "letters, digits, dots and a few signs."
    ),
    "email_domain": _("“%(value)s” has no full domain after its @. Write it as wang@example.com."),
    "email_long": _("“%(value)s” is too long: at most 64 characters before the @, and 254 in all."),
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
        "“%(value)s” is a public suffix, under which anybody can have a name. Enter the domain of "
        "the organisation, such as example.com."
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
        "The request asks for a name of the kind %(found)s. Certificates carry host names, IP "
        "addresses and mail addresses only."
    ),
    # orders
    "profile_unknown": _("There is no kind of certificate called “%(value)s”."),
    "profile_retired": _(
        "The profile “%(value)s” is retired and takes no new orders. Choose another one."
    ),
    "profile_broken": _(
        "The profile “%(value)s” asks for more than what it is a copy of. Edit it first."
    ),
    "profile_without_dns": _(
        "“%(value)s” is a host name, which a certificate of this kind does not carry. Leave it "
        "out, or ask for one for a mail host."
    ),
    "profile_without_ip": _(
        "“%(value)s” is an IP address, which a certificate of this kind does not carry. Leave it "
        "out, or ask for one for a mail host."
    ),
    "profile_without_email": _(
        "“%(value)s” is a mail address, which a certificate of this kind does not carry. Leave it "
        "out, or ask for one for a person."
    ),
    "profile_without_wildcards": _(
        "“%(value)s” is a wildcard, which a certificate of this kind does not carry. Write each "
        "name in full."
    ),
    "profile_without_names": _(
        "“%(value)s” cannot be in it: a certificate of this kind carries no names, only a common "
        "name."
    ),
    "common_name_missing": _("A certificate of this kind needs a common name (CN)."),
    "common_name_foreign": _(
        "“%(value)s” cannot be the common name here: it is, or looks like, a name that the "
        "certificate does not carry. Add it to the names, or leave it out."
    ),
    "issuer_unable": _(
        "“%(issuer)s” cannot sign now: it has expired, is no longer valid, or its key is not with "
        "the signer. Choose another issuing authority."
    ),
    "issuer_too_short": _(
        "“%(issuer)s” itself ends on %(end)s. Ask for at most %(most)s days, or make a new issuing "
        "authority."
    ),
    "days_out_of_range": _(
        "A certificate of this kind may live from 1 to %(most)s days. Ask for fewer, and renew it."
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
    "reason_unknown": _("“%(value)s” is no reason to revoke. Choose one of %(reasons)s."),
    "root_not_revocable": _(
        "“%(name)s” is a root: no list can revoke it. Take it off the devices that trust it."
    ),
    "ended_already": _("“%(name)s” has ended already. No client accepts it any more."),
    "not_in_state": _("“%(name)s” is %(state)s. That cannot be done with it now."),
    "form_unknown": _("There is no form “%(value)s”. Choose one of %(forms)s."),
}
