"""Profiles: what each holds, the rails of their copies, and what is judged before an order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.test import Client
from django.utils import timezone

from ca import copying, names, preparation, profiles, template, wording
from ca.models import Issuer, ProfileCopy
from core.models import AuditEvent
from tests.ca.test_api import call  # noqa: F401 - a fixture

RSA_KEY = rsa.generate_private_key(65537, 2048).public_key()
EC_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
INSIDE: dict[str, Any] = {
    "name": "Inside hosts",
    "days": 14,
    "most_days": 60,
    "name_kinds": ["dns"],
    "wildcards": False,
    "purposes": ["serverAuth"],
}


def make(owner: Any, **changes: Any) -> ProfileCopy:
    asked = {"slug": "inside", "base": "host"} | INSIDE | changes
    return copying.create(**asked, by=owner, at=timezone.now())


def prepare(issuer: Issuer, at: datetime, profile: profiles.Profile, *texts: str, **options: Any):  # type: ignore[no-untyped-def]
    asked: dict[str, Any] = {"public_key": EC_KEY, "days": None, "subject": None}
    tbs, _linted = preparation.prepare(
        profile=profile,
        issuer=issuer,
        wanted=tuple(names.parse(text) for text in texts),
        at=at,
        **(asked | options),
    )
    return tbs


@pytest.mark.parametrize(
    ("profile", "key", "bits"),
    [
        ("host", EC_KEY, {"digital_signature"}),
        ("host", RSA_KEY, {"digital_signature", "key_encipherment"}),
        ("person", EC_KEY, {"digital_signature", "key_agreement"}),
        ("person", RSA_KEY, {"digital_signature", "key_encipherment"}),
        ("client", RSA_KEY, {"digital_signature"}),
        ("ocsp", RSA_KEY, {"digital_signature"}),
    ],
)
def test_key_usage(profile: str, key: Any, bits: set[str]) -> None:
    usage = profiles.by_id(profile).key_usage(key)
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign",
    )  # fmt: skip
    assert {each for each in every if getattr(usage, each)} == bits


def test_lives() -> None:
    lives = {each.id: (each.days, each.most_days) for each in profiles.PROFILES.values()}
    assert lives == {
        "host": (90, 825),
        "person": (90, 825),
        "client": (90, 825),
        "ocsp": (7, 30),
    }


def test_every_profile_has_its_words() -> None:
    assert set(wording.PROFILES) == set(profiles.PROFILES) | profiles.AUTHORITY_PROFILES
    assert set(wording.PURPOSES) == set(profiles.PURPOSES)
    assert set(wording.NAME_KINDS) == names.KINDS


# The rails


def test_a_copy_has_less() -> None:
    copy = profiles.HOST.copied(
        id="inside",
        days=14,
        most_days=60,
        name_kinds=["dns"],
        wildcards=False,
        purposes=["serverAuth"],
    )
    assert (copy.id, copy.base, copy.days, copy.most_days) == ("inside", "host", 14, 60)
    assert copy.purposes == ("serverAuth",) and not copy.wildcards
    assert copy.key_usage(RSA_KEY) == profiles.HOST.key_usage(RSA_KEY)


@pytest.mark.parametrize(
    ("base", "changes", "code", "field"),
    [
        ("host", {"most_days": 826}, "copy_most_days", "most_days"),
        ("host", {"most_days": 0}, "copy_most_days", "most_days"),
        ("host", {"days": 61}, "copy_days", "days"),
        ("host", {"days": 0}, "copy_days", "days"),
        ("host", {"name_kinds": []}, "copy_no_kinds", "name_kinds"),
        ("host", {"name_kinds": ["dns", "email"]}, "copy_kinds", "name_kinds"),
        ("host", {"name_kinds": ["uri"]}, "copy_kinds", "name_kinds"),
        ("host", {"name_kinds": ["ip"], "wildcards": True}, "copy_wildcards", "wildcards"),
        ("client", {"purposes": ["clientAuth"], "wildcards": True}, "copy_wildcards", "wildcards"),
        ("host", {"purposes": []}, "copy_no_purposes", "purposes"),
        ("host", {"purposes": ["serverAuth", "OCSPSigning"]}, "copy_purposes", "purposes"),
        ("person", {}, "copy_kinds", "name_kinds"),
        ("ocsp", {}, "copy_base", "base"),
        ("root", {}, "copy_base", "base"),
        ("nothing", {}, "copy_base", "base"),
    ],
)
def test_a_copy_never_has_more(
    db: None, base: str, changes: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(copying.CopyRefused) as refused:
        make(None, base=base, **changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.sentence != code
    assert not ProfileCopy.objects.exists() and not AuditEvent.objects.exists()


def test_a_copy_is_not_copied() -> None:
    copy = profiles.HOST.copied(id="inside", **{k: v for k, v in INSIDE.items() if k != "name"})
    with pytest.raises(profiles.OutsideRails):
        copy.copied(id="inner", **{k: v for k, v in INSIDE.items() if k != "name"})


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        *(
            ({"slug": slug}, "copy_id_bad", "slug")
            for slug in ("", "a", "9a", "-a", "Inside", "in side", "a" * 21, "a_b", "a\n", "\ud800")
        ),
        *(
            ({"slug": slug}, "copy_id_taken", "slug")
            for slug in ("host", "ocsp", "root", "subordinate")
        ),
        *(
            ({"name": name}, "copy_name_bad", "name")
            for name in ("", "  ", "a" * 65, "two\nlines", "nul\x00", "\ud800")
        ),
    ],
)
def test_ids_and_names_that_are_none(
    db: None, changes: dict[str, str], code: str, field: str
) -> None:
    with pytest.raises(copying.CopyRefused) as refused:
        make(None, **changes)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_names_and_ids_are_given_once(owner) -> None:  # type: ignore[no-untyped-def]
    make(owner)
    with pytest.raises(copying.CopyRefused) as refused:
        make(owner, name="Other")
    assert refused.value.code == "copy_id_taken"
    with pytest.raises(copying.CopyRefused) as refused:
        make(owner, slug="other")
    assert refused.value.code == "copy_name_taken"
    assert ProfileCopy.objects.count() == 1


def test_the_life_of_a_copy(owner, now: datetime) -> None:  # type: ignore[no-untyped-def]
    copy = make(owner)
    assert preparation.read_profile("inside").most_days == 60
    assert ("inside", "Inside hosts") in preparation.choices()
    copying.edit(copy=copy, **(INSIDE | {"most_days": 30}), by=owner, at=now)
    assert preparation.read_profile("inside").most_days == 30
    copying.retire(copy=copy, by=owner, at=now)
    with pytest.raises(preparation.ProfileRefused) as refused:
        preparation.read_profile("inside")
    assert refused.value.code == "profile_retired" and "Inside hosts" in refused.value.sentence
    assert preparation.read_profile("inside", retired=True).most_days == 30
    assert "inside" not in dict(preparation.choices())
    assert preparation.profile_label("inside") == "Inside hosts"
    for verb in (
        lambda: copying.retire(copy=copy, by=owner, at=now),
        lambda: copying.edit(copy=copy, **INSIDE, by=owner, at=now),
    ):
        with pytest.raises(copying.CopyRefused) as again:
            verb()
        assert (again.value.code, again.value.status) == ("copy_retired", 409)
    copying.reinstate(copy=copy, by=owner, at=now)
    with pytest.raises(copying.CopyRefused):
        copying.reinstate(copy=copy, by=owner, at=now)
    assert preparation.read_profile("inside").most_days == 30
    assert [each.action for each in AuditEvent.objects.order_by("pk")] == [
        "ca.profile.copied",
        "ca.profile.edited",
        "ca.profile.retired",
        "ca.profile.reinstated",
    ]


def test_a_row_outside_the_rails_is_not_used(owner) -> None:  # type: ignore[no-untyped-def]
    """As after a restored backup, or a version whose base has less."""
    make(owner)
    ProfileCopy.objects.update(purposes=["serverAuth", "codeSigning"])
    with pytest.raises(preparation.ProfileRefused) as refused:
        preparation.read_profile("inside")
    assert refused.value.code == "profile_broken"


@pytest.mark.parametrize("profile_id", ["root", "nothing", "", "a\x00", "\ud800", "王"])
def test_what_is_no_profile_of_leaves(db: None, profile_id: str) -> None:
    with pytest.raises(preparation.ProfileRefused) as refused:
        preparation.read_profile(profile_id)
    assert refused.value.code == "profile_unknown"


def test_labels(owner, django_assert_num_queries: Any) -> None:  # type: ignore[no-untyped-def]
    make(owner)
    assert preparation.profile_label("root") == "Root"
    assert preparation.profile_label("gone") == "gone"
    with django_assert_num_queries(1):
        labels = preparation.profile_labels()
    assert labels["inside"] == "Inside hosts" and labels["host"] == "Mail host (TLS)"
    assert [each for each, _label in preparation.choices()][:3] == ["host", "person", "client"]
    assert "ocsp" not in dict(preparation.choices())
    assert preparation.permission("ocsp") == "ca.manage"
    assert preparation.permission("inside") == preparation.permission("host") == "ca.issue"


# What is judged before an order


def test_a_name_of_a_kind_it_does_not_carry(issuing: Issuer, now: datetime) -> None:
    for profile, text, code in (
        ("host", "wang@example.test", "profile_without_email"),
        ("person", "mail.example.test", "profile_without_dns"),
        ("person", "192.0.2.1", "profile_without_ip"),
        ("client", "192.0.2.1", "profile_without_ip"),
        ("client", "*.example.test", "profile_without_wildcards"),
        ("ocsp", "mail.example.test", "profile_without_names"),
    ):
        with pytest.raises(preparation.NamesRefused) as refused:
            prepare(issuing, now, profiles.by_id(profile), text)
        assert refused.value.code == code and text in refused.value.sentence


def test_a_copys_rails_are_kept(issuing: Issuer, now: datetime, owner) -> None:  # type: ignore[no-untyped-def]
    make(owner)
    rails = preparation.read_profile("inside")
    tbs = prepare(issuing, now, rails, "mail.example.test")
    purposes = tbs.find(x509.ExtendedKeyUsage)
    assert purposes is not None
    assert list(purposes.value) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert (tbs.not_after - tbs.not_before).days == 13
    for texts, options, code in (
        (["*.example.test"], {}, "profile_without_wildcards"),
        (["192.0.2.1"], {}, "profile_without_ip"),
        (["mail.example.test"], {"days": 61}, "days_out_of_range"),
    ):
        with pytest.raises(preparation.IssuanceRefused) as refused:
            prepare(issuing, now, rails, *texts, **options)
        assert refused.value.code == code


def test_a_mail_address_outside(issuing: Issuer, now: datetime) -> None:
    assert prepare(issuing, now, profiles.PERSON, "wang@mail.example.test")
    with pytest.raises(preparation.NamesRefused) as refused:
        prepare(issuing, now, profiles.PERSON, "wang@elsewhere.test")
    assert refused.value.code == "names_outside"


COMMON_NAMES: list[tuple[str, list[str], str, str | None]] = [
    ("person", ["wang@example.test"], "王大明", None),
    ("person", ["wang@example.test"], "wang@example.test", None),
    ("person", ["wang@example.test"], "boss@example.test", "common_name_foreign"),
    ("person", ["wang@example.test"], "mail.example.test", "common_name_foreign"),
    ("person", ["wang@example.test"], "j.wang", "common_name_foreign"),
    ("person", ["wang@example.test"], "a\x00b", "subject_control"),
    ("person", ["wang@example.test"], "明" * 22, "subject_long"),
    ("client", ["wang@example.test"], "Wang", "common_name_foreign"),
    ("host", ["a.example.test", "b.example.test"], "c.example.test", "common_name_foreign"),
    ("host", ["a.example.test", "b.example.test"], "b.example.test", None),
    ("client", ["a.example.test", "wang@example.test"], "wang@example.test", None),
    ("ocsp", [], "Example Issuing: answers", None),
    ("ocsp", [], "", "common_name_missing"),
    ("host", [], "", "names_missing"),
    ("person", [], "王大明", "names_missing"),
]


def test_common_names(issuing: Issuer, now: datetime) -> None:
    for profile, texts, common_name, code in COMMON_NAMES:
        rails, subject = profiles.by_id(profile), {"CN": common_name} if common_name else None
        if code is None:
            tbs = prepare(issuing, now, rails, *texts, subject=subject)
            found = tbs.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            assert [each.value for each in found] == [common_name]
            continue
        with pytest.raises(preparation.IssuanceRefused) as refused:
            prepare(issuing, now, rails, *texts, subject=subject)
        assert refused.value.code == code and refused.value.sentence != code


def test_a_responder_holds_no_place_to_ask(issuing: Issuer, now: datetime) -> None:
    tbs = prepare(issuing, now, profiles.OCSP, subject={"CN": "Answers"})
    assert tbs.find(x509.OCSPNoCheck) is not None
    for kind in (
        x509.SubjectAlternativeName,
        x509.CRLDistributionPoints,
        x509.AuthorityInformationAccess,
    ):
        assert tbs.find(kind) is None
    assert (tbs.not_after - tbs.not_before).days == 6
    host = prepare(issuing, now, profiles.HOST, "mail.example.test")
    assert host.find(x509.CRLDistributionPoints) is not None
    assert host.find(x509.OCSPNoCheck) is None


def test_a_key_still_to_be_made(issuing: Issuer, now: datetime) -> None:
    tbs = prepare(issuing, now, profiles.HOST, "mail.example.test", public_key=None)
    assert isinstance(tbs.public_key, ec.EllipticCurvePublicKey)
    tbs = prepare(
        issuing, now, profiles.HOST, "mail.example.test", public_key=None, key_algorithm="rsa2048"
    )
    assert isinstance(tbs.public_key, rsa.RSAPublicKey)


@pytest.mark.parametrize("floor", [0, 0x1000, (1 << 158) + 5, template.LARGEST_SERIAL - (1 << 70)])
def test_serials_are_above_the_floor(floor: int) -> None:
    drawn = {template.random_serial(above=floor) for _ in range(50)}
    assert len(drawn) == 50
    assert all(floor < each <= template.LARGEST_SERIAL for each in drawn)


def test_a_floor_without_room_above_it() -> None:
    drawn = template.random_serial(above=template.LARGEST_SERIAL - 3)
    assert 0 < drawn <= template.LARGEST_SERIAL


def test_an_imported_issuers_floor_counts(issuing: Issuer, now: datetime) -> None:
    floor = (1 << 159) - (1 << 140)
    issuing.serial_floor = f"{floor:x}"
    assert prepare(issuing, now, profiles.HOST, "mail.example.test").serial > floor


@pytest.mark.parametrize(("asked", "written"), [(..., 0), (None, None), (2, 2)])
def test_path_lengths(asked: Any, written: int | None) -> None:
    tbs = template.prepare_authority(
        profile=profiles.SUBORDINATE,
        subject={"CN": "Issuing"},
        public_key=EC_KEY,
        issuer=None,
        days=30,
        at=timezone.now(),
        serial=1 << 90,
        path_length=asked,
    )
    found = tbs.find(x509.BasicConstraints)
    assert found is not None and found.value == x509.BasicConstraints(True, written)


# Pages


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "slug": "inside",
        "name": "Inside hosts",
        "days": "14",
        "most_days": "60",
        "name_kinds": ["dns"],
        "purposes": ["serverAuth"],
    } | changes


def test_the_page_says_what_each_holds(signed_in: Client, owner) -> None:  # type: ignore[no-untyped-def]
    page = signed_in.get("/certificates/profiles/").content.decode()
    assert "None yet" in page
    for text in ("Mail host (TLS)", "Person (S/MIME)", "OCSP responder", "Root", "at most 825"):
        assert text in page
    assert "/certificates/profiles/new/host/" in page
    assert "/certificates/profiles/new/ocsp/" not in page
    make(owner)
    page = signed_in.get("/certificates/profiles/").content.decode()
    assert "Inside hosts" in page and "copy of: Mail host (TLS)" in page


def test_copy_edit_retire_and_use_again(signed_in: Client) -> None:
    page = signed_in.get("/certificates/profiles/new/host/")
    assert page.context["form"].initial["days"] == 90
    made = signed_in.post("/certificates/profiles/new/host/", fields(), follow=True)
    assert "can be chosen now" in made.content.decode()
    copy = ProfileCopy.objects.get()
    assert (copy.base, copy.days, copy.wildcards) == ("host", 14, False)
    edited = fields(name="Inside", days="7", wildcards="on")
    assert signed_in.post("/certificates/profiles/inside/", edited).status_code == 302
    copy.refresh_from_db()
    assert (copy.slug, copy.name, copy.days, copy.wildcards) == ("inside", "Inside", 7, True)
    assert signed_in.post("/certificates/profiles/inside/retire").status_code == 302
    copy.refresh_from_db()
    assert copy.retired_at is not None
    again = signed_in.post("/certificates/profiles/inside/retire", follow=True)
    assert "is retired already" in again.content.decode()
    assert signed_in.post("/certificates/profiles/inside/reinstate").status_code == 302
    copy.refresh_from_db()
    assert copy.retired_at is None


def test_the_form_says_what_is_wrong(signed_in: Client) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"most_days": "900"}, "from 1 to 825 days"),
        ({"days": "61"}, "from 1 to 60 days"),
        ({"days": ""}, "This field is required"),
        ({"slug": "host"}, "already a profile with the id"),
        ({"slug": "Not An Id"}, "cannot be an id"),
        ({"name_kinds": ["ip"], "wildcards": "on"}, "Wildcards need host names"),
        ({"name_kinds": ["email"]}, "email is not one of the available choices"),
        ({"purposes": []}, "This field is required"),
    ]
    for changes, words in refused:
        answer = signed_in.post("/certificates/profiles/new/host/", fields(**changes))
        assert answer.status_code == 422 and words in answer.content.decode(), words
    assert not ProfileCopy.objects.exists()


def test_what_cannot_be_copied_has_no_page(signed_in: Client) -> None:
    for base in ("ocsp", "root", "nothing"):
        assert signed_in.get(f"/certificates/profiles/new/{base}/").status_code == 404
    assert signed_in.get("/certificates/profiles/nothing/").status_code == 404


def test_only_owners_change_profiles(viewer, client: Client, owner) -> None:  # type: ignore[no-untyped-def]
    make(owner)
    client.force_login(viewer)
    page = client.get("/certificates/profiles/").content.decode()
    assert "Inside hosts" in page and "/certificates/profiles/new/host/" not in page
    assert client.get("/certificates/profiles/new/host/").status_code == 403
    assert client.get("/certificates/profiles/inside/").status_code == 403
    assert client.post("/certificates/profiles/inside/retire").status_code == 403
    assert client.get("/certificates/profiles/inside/retire").status_code in (403, 405)


# The API


def test_the_api(call, viewer) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    listed = call("GET", "/profiles").json()
    assert [each["id"] for each in listed] == ["host", "person", "client", "ocsp"]
    made = call("POST", "/profiles", {"id": "short", "name": "Short", "most_days": 10})
    assert made.status_code == 201
    assert made.json() == {
        "id": "short",
        "name": "Short",
        "base": "host",
        "days": 10,
        "most_days": 10,
        "name_kinds": ["dns", "ip"],
        "wildcards": True,
        "purposes": ["serverAuth", "clientAuth"],
        "retired": False,
    }
    changed = call("PATCH", "/profiles/short", {"wildcards": False, "days": 5, "retired": True})
    assert (changed.json()["wildcards"], changed.json()["days"]) == (False, 5)
    assert changed.json()["retired"]
    refused = call("PATCH", "/profiles/short", {"days": 3})
    assert refused.status_code == 409
    refused = call("PATCH", "/profiles/short", {"days": 11, "retired": False})
    assert refused.status_code == 422 and "from 1 to 10 days" in refused.json()["detail"]
    assert ProfileCopy.objects.get().retired_at is not None, "all of it or nothing"
    assert call("POST", "/profiles", {"id": "x2", "name": "X", "base": "ocsp"}).status_code == 422
    assert call("PATCH", "/profiles/none", {"days": 3}).status_code == 404
    assert call("PATCH", "/profiles/a%00b", {"days": 3}).status_code == 404
    for name in ("nul\x00", "\ud800"):
        refused = call("POST", "/profiles", {"id": "x3", "name": name})
        assert refused.status_code == 422 and "plain text" in refused.json()["detail"]
    assert call("POST", "/profiles", {"id": "\ud800", "name": "X"}).status_code == 422
    body = {"id": "short2", "name": "Short 2"}
    assert call("POST", "/profiles", body, by=viewer).status_code == 403
    assert call("POST", "/profiles", body, scopes=["ca:read"]).status_code in (401, 403)
