"""Rules about the names a certificate speaks for."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from ca.lints.registry import Issuer, alternative_names, is_authority, lint, text_of
from ca.names import BadName, looks_like_a_name, parse, within
from ca.profiles import Profile
from ca.template import ToBeSigned


@lint("RFC 6125 6.4.4, CA/B BR 7.1.2.7.12, RFC 8550 3")
def alternative_name_is_present(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not isinstance(tbs.profile, Profile):
        return
    if tbs.profile.needs_names and not alternative_names(tbs):
        yield "subjectAltName"


@lint("RFC 5280 4.1.2.6")
def leaf_says_whose_it_is(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not is_authority(tbs) and not alternative_names(tbs) and not list(tbs.subject):
        yield "subject"


@lint("RFC 5280 4.2.1.6")
def alternative_name_is_critical_without_subject(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.SubjectAlternativeName)
    if found is not None and found.critical is not (not list(tbs.subject)):
        yield "critical" if found.critical else "not critical"


@lint("RFC 5280 4.2.1.6, RFC 5890 2.3.2.1")
def names_are_well_formed(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for general in alternative_names(tbs):
        try:
            name = parse(text_of(general))
        except BadName:
            yield text_of(general)
            continue
        if name.general_name() != general:
            yield text_of(general)


@lint("CA/B BR 7.1.2.7.12")
def names_appear_once(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    texts = [text_of(general) for general in alternative_names(tbs)]
    yield from sorted({text for text in texts if texts.count(text) > 1})


@lint("CA/B BR 7.1.2.7")
def names_are_of_the_profiles_kinds(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not isinstance(tbs.profile, Profile):
        return
    kinds = {x509.DNSName: "dns", x509.IPAddress: "ip", x509.RFC822Name: "email"}
    for general in alternative_names(tbs):
        wild = isinstance(general, x509.DNSName) and general.value.startswith("*.")
        if kinds.get(type(general)) not in tbs.profile.name_kinds or (
            wild and not tbs.profile.wildcards
        ):
            yield text_of(general)


@lint("CA/B BR 7.1.4.3")
def common_name_is_among_the_names(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not isinstance(tbs.profile, Profile):
        return
    texts = {text_of(general) for general in alternative_names(tbs)}
    for attribute in tbs.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        value = str(attribute.value)
        # A person is called what they are called, but not like another host or mailbox.
        own = tbs.profile.own_common_name and not looks_like_a_name(value)
        if value not in texts and not own:
            yield value


@lint("RFC 5280 4.2.1.10")
def names_are_within_the_constraints(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    try:
        extension = issuer.extensions.get_extension_for_oid(ExtensionOID.NAME_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return
    if not isinstance(extension.value, x509.NameConstraints):
        return
    for general in alternative_names(tbs):
        try:
            name = parse(text_of(general))
        except BadName:
            continue
        if not within(extension.value, name):
            yield name.value
    if not _subject_is_within(extension.value, tbs.subject):
        yield tbs.subject.rfc4514_string()


def _subject_is_within(constraints: x509.NameConstraints, subject: x509.Name) -> bool:
    """Directory names: an issuer made elsewhere may be limited to subjects that begin alike."""
    if not subject.rdns:
        return True

    def covered(subtrees: list[x509.GeneralName] | None) -> list[bool]:
        heads = [each.value.rdns for each in subtrees or () if isinstance(each, x509.DirectoryName)]
        return [subject.rdns[: len(head)] == head for head in heads]

    permitted, excluded = (
        covered(constraints.permitted_subtrees),
        covered(constraints.excluded_subtrees),
    )
    return (any(permitted) or not permitted) and not any(excluded)
