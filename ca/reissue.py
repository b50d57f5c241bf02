"""A root's certificate anew, with the same key: what it signed keeps verifying under the new one.

    ceremony = request_reissue(root=root, days=7305, passphrase="…", by=me, at=now)

The key, the subject and the subject key identifier stay byte for byte, so that the authority key
identifiers below still fit (RFC 5280 sections 4.2.1.1 and 4.2.1.2); serial, life and signature are
new, and basic constraints and key usage are critical, as strict clients want them. Limits the root
has stay. The certificate from before stays listed as superseded: devices that trust it go on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cryptography import x509
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import lints, profiles, template
from ca.ceremonies import Clock, carrier, done, finish, request
from ca.making import open_key, signed_list, store_list
from ca.models import Ceremony, Certificate, Issuer
from ca.records import store
from ca.rehearsal import NotMade
from core import audit
from core.models import Operator

# What follows from the name, which cannot be changed without breaking every chain.
OF_THE_NAME = frozenset(
    {
        "authority_has_a_subject",
        "country_is_two_letters",
        "subject_fields_are_short",
        "subject_is_printable",
    }
)
# How many of the newest certificates below are looked at for the old habit.
LOOKED_AT = 200


@sensitive_variables("passphrase")
def request_reissue(
    *,
    root: Issuer,
    days: int = profiles.CLASSIC_ROOT_DAYS,
    passphrase: str,
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for a root's certificate anew; an ended root may be given another life this way."""
    _reissuable(root)
    if not 1 <= days <= profiles.ROOT.most_days:
        raise NotMade("days_long", field="days", most=profiles.ROOT.most_days)
    if not passphrase:
        raise NotMade("passphrase_missing", field="passphrase")
    linted(root, days=days, at=at)
    wish = {"reissue": {"days": days}}
    return request(Ceremony.REISSUE, wish=wish, root=root, passphrase=passphrase, by=by, at=at)


def to_be_signed(
    old: x509.Certificate, *, days: int, at: datetime, floor: str = ""
) -> template.ToBeSigned:
    """The root's next certificate, from its present one; its serial is above `floor`."""
    limits = [each for each in old.extensions if isinstance(each.value, x509.NameConstraints)]
    try:
        ski = old.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        ski = x509.SubjectKeyIdentifier.from_public_key(old.public_key())  # type: ignore[arg-type]
    try:
        length = old.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        length = None
    begin, end = template.validity(at=at, days=days)
    profile = replace(profiles.ROOT, path_length=length)
    extensions: list[x509.Extension[x509.ExtensionType]] = [
        _critical(x509.BasicConstraints(ca=True, path_length=length)),
        _critical(profile.key_usage()),
        x509.Extension(x509.SubjectKeyIdentifier.oid, False, ski),
        *(_critical(each.value) for each in limits),
    ]
    return template.ToBeSigned(
        profile=profile,
        subject=old.subject,
        issuer=old.subject,
        public_key=old.public_key(),  # type: ignore[arg-type]
        serial=template.random_serial(above=int(floor or "0", 16)),
        not_before=begin,
        not_after=end,
        extensions=tuple(extensions),
    )


def linted(root: Issuer, *, days: int, at: datetime) -> lints.Linted:
    """Every rule but those of the name, which is what it is."""
    tbs = to_be_signed(root.parsed, days=days, at=at, floor=root.serial_floor)
    found = [each for each in lints.run(tbs, issuer=None) if each.lint not in OF_THE_NAME]
    if found:
        raise NotMade("lints", findings=[[each.lint, each.section, each.detail] for each in found])
    return lints.Linted(tbs)


def bound_to_the_serial(root: Issuer, at: datetime) -> bool:
    """Whether valid certificates below name the root's serial number beside its key (RFC 5280
    4.2.1.1): clients find those only with the certificate that has that number."""
    rows = root.certificates.exclude(key_id=root.key_id).valid(at).order_by("-pk")
    for pem in rows.values_list("pem", flat=True)[:LOOKED_AT]:
        try:
            extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
            found = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except (ValueError, x509.ExtensionNotFound):
            continue  # one made by hand may hold anything
        if found.authority_cert_serial_number is not None:
            return True
    return False


def _critical(value: x509.ExtensionType) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, True, value)


def _reissuable(root: Issuer) -> None:
    if not root.is_root or root.certificate is None:
        raise NotMade("reissue_root_only", root=root.name)
    if root.key_kept != Issuer.UNDER_PASSPHRASE:
        raise NotMade("key_elsewhere", root=root.name)


@carrier(Ceremony.REISSUE, steps=("open", "reissue", "lists"))
@sensitive_variables("passphrase")
def _carry_out(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None:
    root = ceremony.root
    if root is None or root.certificate is None:
        raise NotMade("root_unknown")
    _reissuable(root)
    old = root.certificate
    key = open_key(ceremony, root, passphrase, at, clock)
    signed = key.issue(linted(root, days=ceremony.wish["reissue"]["days"], at=at))
    signed.verify_directly_issued_by(signed)
    done(ceremony, "reissue", clock)
    listed = signed_list(root, signed, key, at)
    done(ceremony, "lists", clock)
    with transaction.atomic():
        new = store(issuer=root, certificate=signed, profile=profiles.ROOT.id, at=at)
        Issuer.objects.filter(pk=root.pk).update(certificate=new)
        root.certificate = new
        Certificate.objects.filter(pk=old.pk).update(
            state=Certificate.SUPERSEDED, superseded_by=new
        )
        audit.record(
            by=ceremony.requested_by,
            at=at,
            action="ca.authority.reissued",
            subject=root.name,
            detail={
                "serial": new.serial,
                "before": old.serial,
                "fingerprint_sha256": new.fingerprint_sha256,
                "not_after": new.not_after.isoformat(),
            },
        )
        store_list(listed, by=ceremony.requested_by, at=at)
        finish(ceremony, root=root, at=clock())
