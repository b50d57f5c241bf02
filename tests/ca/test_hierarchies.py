"""Hierarchies: a root alone, levels and limits, and ceremonies that go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ca import authorities, ceremonies, names, tasks
from ca.models import Ceremony, Certificate, Issuer
from ca.rehearsal import outside
from ca.wishes import AuthorityWish, Wish
from core import leases
from tests.ca.conftest import PASSPHRASE, leaf_of, make, wish
from tests.ca.levels import authority, below, carried_out

pytestmark = pytest.mark.django_db


def test_a_root_alone(root, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    assert ceremony_of(root).steps == ["root_key", "seal", "root", "lists"]
    assert root.is_root and root.revocation_list.number == 1
    assert not root.able_to_issue(now)
    assert "leaf.pem: OK" in openssl_verify(root.certificate.pem, "", root.certificate.pem)
    limits = root.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.ca and limits.path_length is None


def ceremony_of(root: Issuer) -> Ceremony:
    return root.ceremonies.earliest("pk")


def test_an_ed25519_hierarchy(owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    made = make(owner, now, wish(root_key="ed25519", issuing_key="ed25519")).made
    certificate = leaf_of(made, owner, now, "a.example.test")
    said = openssl_verify(certificate.pem, certificate.chain_pem, certificate.root_pem)
    assert "leaf.pem: OK" in said, said
    assert certificate.parsed.signature_hash_algorithm is None
    listed = x509.load_der_x509_crl(bytes(made.revocation_list.der))
    assert listed.is_signature_valid(made.parsed.public_key())


def test_three_levels_without_a_passphrase_in_the_middle(root, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    ceremony = authorities.request_issuing(
        under=middle, wish=authority("Lower", "mail.example.test"), by=owner, at=now
    )
    assert not ceremony.passphrase_sealed, "the key of the one above is with the signer"
    assert ceremonies.steps_of(ceremony) == ("issuing_key", "issuing", "lists")
    lower = carried_out(ceremony).made
    assert lower is not None, ceremony.reason
    certificate = leaf_of(lower, owner, now, "mail.example.test")
    assert [each.name for each in lower.path()] == ["Lower", "Middle", "Example Root"]
    assert certificate.chain_pem.count("BEGIN") == 2
    said = openssl_verify(certificate.pem, certificate.chain_pem, certificate.root_pem)
    assert "leaf.pem: OK" in said, said
    middle.revocation_list.refresh_from_db()
    assert middle.revocation_list.number == 2
    Certificate.objects.filter(pk=middle.certificate_id).update(
        state=Certificate.REVOKED, revoked_at=now
    )
    assert not Issuer.objects.get(pk=lower.pk).able_to_issue(now), "what is above counts too"
    assert not Issuer.objects.able_to_issue(now).exists(), "and it is not offered"


def test_levels_are_counted(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    lower = below(middle, owner, now, authority("Lower"))
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(under=lower, wish=authority("Deep"), by=owner, at=now)
    assert refused.value.code == "path_length_none" and "Lower" in refused.value.sentence
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Deep", levels=1), by=owner, at=now
        )
    assert (refused.value.code, refused.value.field) == ("path_length_long", "issuing_path_length")
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Deep", levels=9), by=owner, at=now
        )
    assert refused.value.code == "path_length_range"
    flat = wish("Flat Root", "Flat Issuing")
    flat = replace(flat, root=replace(flat.root, path_length=0))
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_hierarchy(wish=flat, passphrase=PASSPHRASE, by=owner, at=now)
    assert refused.value.code == "path_length_none"


def test_a_life_that_just_fitted_when_it_was_asked_for(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    at = now.replace(microsecond=0)
    ceremony = authorities.request_issuing(
        under=middle, wish=authority("Lower"), by=owner, at=at - timedelta(seconds=1)
    )
    later = at + timedelta(minutes=50)
    held = leases.claim(Ceremony.objects.due(later), ceremony.pk, worker="w", at=later)
    authorities.make(ceremony=held, at=later, clock=lambda: later)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made.certificate.not_after <= middle.certificate.not_after
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Late"), by=owner, at=at + timedelta(days=3)
        )
    assert (refused.value.code, refused.value.field) == ("days_long", "issuing_days")


@pytest.mark.parametrize(
    ("permitted", "unconstrained", "code"),
    [
        (("elsewhere.test",), False, "constraints_wider"),
        (("test",), False, "constraints_wider"),
        (("example.test", "192.0.0.0/16"), False, "constraints_wider"),
        (("notexample.test",), False, "constraints_wider"),
        ((), True, "constraints_dropped"),
        ((), False, "constraints_missing"),
    ],
)
def test_limits_are_nested(permitted, unconstrained, code, root, owner, now) -> None:  # type: ignore[no-untyped-def]
    limited = authority("Middle", "example.test", "192.0.2.0/24", levels=1)
    middle = below(root, owner, now, limited, PASSPHRASE)
    part = AuthorityWish("Lower", "p256", 1000)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle,
            wish=Wish(issuing=part, permitted=permitted),
            unconstrained=unconstrained,
            by=owner,
            at=now,
        )
    assert (refused.value.code, refused.value.field) == (code, "permitted")
    assert not Ceremony.objects.filter(root=middle).exists()
    lower = below(middle, owner, now, authority("Lower", "a.example.test", "192.0.2.128/25"))
    assert lower.permitted == ["a.example.test", "192.0.2.128/25"]


def test_what_is_outside() -> None:
    tree = names.parse_subtrees
    assert outside(tree([]), tree(["a.test"])) == []
    assert outside(tree(["a.test"]), tree([])) == ["*"]
    assert outside(tree(["a.test"]), tree(["b.a.test", "192.0.2.0/24"])) == ["192.0.2.0/24"]
    assert outside(tree(["192.0.2.0/24"]), tree(["192.0.2.0/25", "2001:db8::/32"])) == [
        "2001:db8::/32"
    ]


def test_two_signers_and_a_killed_one(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    before = now - timedelta(minutes=3)
    ceremony = authorities.request_reissue(
        root=issuing.parent, passphrase=PASSPHRASE, by=owner, at=before
    )
    killed = leases.claim(Ceremony.objects.due(before), ceremony.pk, worker="killed", at=before)
    leases.save(killed, state=Ceremony.WORKING, steps=["open"])
    assert carried_out(ceremony).state == Ceremony.DONE
    count = Certificate.objects.count()
    with pytest.raises(leases.LeaseLost):
        authorities.make(ceremony=killed, at=now, clock=lambda: now)
    tasks.make_authority(ceremony.pk)
    assert Certificate.objects.count() == count


def test_one_that_kills_signers_is_refused(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = authorities.request_reissue(
        root=issuing.parent, passphrase=PASSPHRASE, by=owner, at=now
    )
    Ceremony.objects.filter(pk=ceremony.pk).update(fence=ceremonies.MOST_CLAIMS)
    assert carried_out(ceremony).reason_code == "signer_failed"
    assert not ceremony.passphrase_sealed and Certificate.objects.count() == 2
    authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)
    assert carried_out(ceremony).state == Ceremony.DONE


def test_the_same_name_at_once(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = [
        authorities.request_issuing(
            under=root, wish=authority("Twin"), passphrase=PASSPHRASE, by=owner, at=now
        )
        for _ in range(2)
    ]
    states = [carried_out(each).state for each in asked]
    assert states == [Ceremony.DONE, Ceremony.REFUSED] and "Twin" in asked[1].reason
    assert Issuer.objects.filter(name="Twin").count() == 1


def test_the_signer_knows_every_kind() -> None:
    """A worker imports the tasks and nothing else."""
    asked = "import django; django.setup(); import ca.tasks; from ca.ceremonies import CARRIERS"
    done = subprocess.run(
        [sys.executable, "-c", f"{asked}; print(*sorted(CARRIERS))"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "mailadmin.settings"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) == {kind for kind, _label in Ceremony.KINDS}
