"""Taking over an authority made by hand: from its files to the first new certificate."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca import importing, keystore, revocation, tasks, wording
from ca.imported_rows import certificate_ids
from ca.models import Ceremony, Certificate, Imported, Issuer, RevocationList
from ca.rehearsal import NotMade
from core import leases
from core.models import AuditEvent
from tests.ca.byhand import PASSPHRASE, by_hand
from tests.ca.test_legacy import INDEX

pytestmark = pytest.mark.django_db
NEW = "six honest serving men"


@pytest.fixture(scope="module")
def files():  # type: ignore[no-untyped-def]
    return by_hand()


def asked(files, owner, now, **changes) -> Ceremony:  # type: ignore[no-untyped-def]
    fields = {
        "name": "Old Root",
        "certificate": files.root,
        "key": files.key,
        "passphrase": PASSPHRASE,
        "serial": files.serial,
        "issued": files.issued(),
        "origin": "http://pki.example.test",
    }
    return importing.request_import(**(fields | changes), by=owner, at=now)


def carried(ceremony: Ceremony) -> Ceremony:
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


def imported(files, owner, now, **changes) -> Issuer:  # type: ignore[no-untyped-def]
    ceremony = carried(asked(files, owner, now, **changes))
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.root is not None
    return ceremony.root


def report(ceremony: Ceremony) -> list[tuple[str, str, str]]:
    return [(each.source, each.verdict, each.code) for each in Imported.objects.of(ceremony)]


def test_an_authority_is_taken_over(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = asked(files, owner, now)
    assert ceremony.title == "Old Root" and ceremony.wish["counts"]["taken"] == 1
    carried(ceremony)
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    root = ceremony.root
    assert root.is_root and root.imported_at and root.serial_floor == "3941"
    assert (root.algorithm, root.key_kept) == ("rsa2048", Issuer.UNDER_PASSPHRASE)
    assert root.parsed == x509.load_pem_x509_certificate(files.root)
    key = keystore.open_with_passphrase(root.key_sealed, PASSPHRASE, identity=root.identity)
    assert key.key_id == root.key_id
    rows = list(Certificate.objects.filter(issuer=root).order_by("pk"))
    assert [row.title for row in rows] == ["My Root CA", "mail.example.test", "old.example.test"]
    assert all(row.imported_at and row.state == Certificate.VALID for row in rows)
    assert [row.names for row in rows] == [[], ["mail.example.test"], ["old.example.test"]]
    assert rows[2].issued_at == rows[2].parsed.not_valid_before_utc
    assert report(ceremony) == [
        ("certs/myhost.crt", "taken", ""),
        ("certs/v1.crt", "noted", "note_version_1"),
    ]
    lines = Imported.objects.of(ceremony)
    assert certificate_ids(ceremony, lines) == {row.serial: row.pk for row in rows[1:]}
    assert list(Certificate.objects.matching("old.example.test")) == [rows[2]]


def test_nothing_secret_stays(files, owner, now, caplog) -> None:  # type: ignore[no-untyped-def]
    upload = [*files.issued(), ("host.key", files.key_plain)]
    ceremony = asked(files, owner, now, issued=upload)
    assert PASSPHRASE.encode() not in bytes(ceremony.material_sealed)
    carried(ceremony)
    assert bytes(ceremony.passphrase_sealed) == bytes(ceremony.material_sealed) == b""
    assert not any(bytes(line.der) for line in Imported.objects.all())
    said = json.dumps(list(AuditEvent.objects.values("action", "subject", "detail")))
    said += json.dumps(list(Ceremony.objects.values("wish", "steps", "reason_detail")))
    said += json.dumps(list(Imported.objects.values("source", "code", "detail", "subject")))
    said += caplog.text + repr(ceremony)
    assert PASSPHRASE not in said and "PRIVATE" not in said
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == [
        "ca.ceremony.requested",
        "ca.authority.imported",
        "ca.list.signed",
        "ca.certificates.imported",
    ]
    assert AuditEvent.objects.latest("pk").detail["count"] == 2


def test_old_certificates_are_revocable(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    """The root signed them itself, so they are on its own list, signed by its passphrase."""
    root = imported(files, owner, now)
    old = root.certificates.get(serial="3941")
    revocation.revoke(certificate=old, reason="keyCompromise", by=owner, at=now)
    from ca import authorities

    assert root.revocation_list.entries == 0
    carried(authorities.request_list(root=root, passphrase=PASSPHRASE, by=owner, at=now))
    listed = RevocationList.objects.get(issuer=root)
    signed = x509.load_der_x509_crl(bytes(listed.der))
    assert signed.is_signature_valid(root.parsed.public_key())
    assert isinstance(signed.signature_hash_algorithm, hashes.SHA256), "never what the root has"
    assert [entry.serial_number for entry in signed] == [0x3941]


def test_what_it_signs_from_now_on_is_signed_with_sha_256(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    """Before the crossing, too: an imported root's hash is its own affair."""
    from ca import authorities
    from ca.wishes import AuthorityWish, Wish

    root = imported(files, owner, now)
    assert root.parsed.signature_hash_algorithm.name == "sha1"
    wish = Wish(issuing=AuthorityWish("New", "p256", 1826), permitted=("example.test",))
    made = carried(
        authorities.request_issuing(under=root, wish=wish, passphrase=PASSPHRASE, by=owner, at=now)
    )
    assert made.state == Ceremony.DONE, made.reason
    signed = made.made.parsed
    assert signed.signature_hash_algorithm.name == "sha256"
    assert signed.serial_number > int(root.serial_floor, 16)
    assert signed.extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_an_index_is_taken_over(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    held = INDEX.replace(
        b"V\t360101000000Z\t\t", b"R\t360101000000Z\t200101000000Z,certificateHold\t"
    )
    assert held != INDEX
    root = imported(files, owner, now, issued=[*files.issued(), ("index.txt", held)])
    host, v1 = root.certificates.exclude(profile="root").order_by("serial")
    assert (host.state, host.revocation_reason) == (Certificate.HELD, "certificateHold")
    assert (v1.state, v1.revocation_reason) == (Certificate.REVOKED, "keyCompromise")
    assert v1.revoked_at == datetime(2012, 5, 1, 9, 30, tzinfo=UTC)
    signed = x509.load_der_x509_crl(bytes(root.revocation_list.der))
    assert {entry.serial_number for entry in signed} == {0x3940, 0x3941}
    revocation.release(certificate=host, by=owner, at=now)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"passphrase": ""}, "passphrase", "import_passphrase_missing"),
        ({"key": b"garbage"}, "key", "import_key_unreadable"),
        ({"certificate": b"garbage"}, "certificate", "import_certificate_unreadable"),
        ({"serial": b"nonsense"}, "serial", "import_serial_unreadable"),
        ({"name": " "}, "name", "import_name_missing"),
        ({"name": "x" * 65}, "name", "import_name_long"),
        ({"origin": "https://pki.example.test"}, "origin", "origin_https"),
        ({"new_passphrase": "short"}, "new_passphrase", "passphrase_short"),
        ({"issued": [("a.zip", b"PK\x03\x04cut")]}, "issued", "import_archive_damaged"),
    ],
)
def test_what_is_refused_at_once(changes, field, code, files, owner, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now, **changes)
    assert (refused.value.field, refused.value.code) == (field, code)
    assert refused.value.sentence != code, "every code has its sentence"
    if code != "passphrase_short":
        logged = AuditEvent.objects.get()
        assert (logged.action, logged.actor) == ("ca.import.refused", owner)
        assert logged.detail["reason"] == code and PASSPHRASE not in str(logged.detail)
    assert not Ceremony.objects.exists() and not Imported.objects.exists()


def test_a_key_without_passphrase_gets_one(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now, key=files.key_plain)
    assert refused.value.code == "import_passphrase_superfluous"
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now, key=files.key_plain, passphrase="")
    assert (refused.value.field, refused.value.code) == ("new_passphrase", "import_passphrase_new")
    root = imported(files, owner, now, key=files.key_plain, passphrase="", new_passphrase=NEW)
    keystore.open_with_passphrase(root.key_sealed, NEW, identity=root.identity)


def test_a_weak_passphrase_opens_the_file_but_is_not_kept(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    from tests.ca.byhand import openssl

    weak = openssl(
        "rsa", "-aes256", "-passout", "pass:old2004", "-in", "root.plain", cwd=files.folder
    )
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now, key=weak, passphrase="old2004")
    assert (refused.value.field, refused.value.code) == ("new_passphrase", "import_passphrase_weak")
    assert "12 characters" in refused.value.sentence
    root = imported(files, owner, now, key=weak, passphrase="old2004", new_passphrase=NEW)
    keystore.open_with_passphrase(root.key_sealed, NEW, identity=root.identity)
    with pytest.raises(keystore.WrongPassphrase):
        keystore.open_with_passphrase(root.key_sealed, "old2004", identity=root.identity)


def test_a_wrong_passphrase_keeps_the_report_and_nothing_else(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = carried(asked(files, owner, now, passphrase="not the passphrase"))
    assert (ceremony.state, ceremony.reason_code) == (Ceremony.REFUSED, "import_passphrase_wrong")
    assert "does not open" in ceremony.reason
    assert bytes(ceremony.passphrase_sealed) == bytes(ceremony.material_sealed) == b""
    assert not Issuer.objects.exists() and not Certificate.objects.exists()
    before = Imported.objects.of(ceremony).count()
    again = importing.try_again(
        ceremony=ceremony, key=files.key, passphrase=PASSPHRASE, by=owner, at=now
    )
    with pytest.raises(NotMade):
        importing.try_again(
            ceremony=ceremony, key=files.key, passphrase=PASSPHRASE, by=owner, at=now
        )
    assert Imported.objects.of(again).count() == before > 0
    assert carried(again).state == Ceremony.DONE, again.reason
    assert Certificate.objects.filter(issuer=again.root).count() == 3


def test_another_key_is_refused(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    other = (files.folder / "host.key").read_bytes()
    ceremony = carried(asked(files, owner, now, key=other, passphrase="", new_passphrase=NEW))
    assert (ceremony.state, ceremony.reason_code) == (Ceremony.REFUSED, "import_key_other")
    assert not Issuer.objects.exists()


def test_a_key_is_imported_once(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    first, second = asked(files, owner, now), asked(files, owner, now, name="Other name")
    assert carried(first).state == Ceremony.DONE
    assert carried(second).state == Ceremony.REFUSED, "two uploads at once"
    assert second.reason_code and Issuer.objects.count() == 1
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now, name="Third name")
    assert refused.value.code == "import_here" and "Old Root" in refused.value.sentence
    with pytest.raises(NotMade) as refused:
        asked(files, owner, now)
    assert refused.value.code == "name_taken"


def test_a_killed_signer_is_followed_by_one_that_goes_on(files, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(importing, "CHUNK", 1)
    before = now - timedelta(minutes=3)
    ceremony = asked(files, owner, before)
    killed = leases.claim(Ceremony.objects.due(before), ceremony.pk, worker="killed", at=before)
    store, calls = importing.store_chunk, []

    def dies(*arguments, **options):  # type: ignore[no-untyped-def]
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return store(*arguments, **options)

    monkeypatch.setattr(importing, "store_chunk", dies)
    with pytest.raises(KeyboardInterrupt):
        importing.ceremonies.make(ceremony=killed, at=before, clock=lambda: before)
    assert Certificate.objects.count() == 2 and Issuer.objects.count() == 1
    monkeypatch.setattr(importing, "store_chunk", store)
    next_one = leases.claim(Ceremony.objects.due(now), ceremony.pk, worker="next", at=now)
    with pytest.raises(leases.LeaseLost):
        store(killed, killed.root, at=now, now=now, size=1)
    assert Certificate.objects.count() == 2
    importing.ceremonies.make(ceremony=next_one, at=now, clock=lambda: now)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert Certificate.objects.count() == 3 and Issuer.objects.count() == 1


def test_old_certificates_that_break_the_rules_are_rows_too(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    upload = [
        ("latin.crt", files.sign("Grüße".encode("latin-1"), "-md5", serial=5)),
        ("zero.crt", files.sign("zero.example.test", serial=0)),
        ("twice.crt", files.sign("twice.example.test", serial=5)),
    ]
    root = imported(files, owner, now, issued=upload)
    latin = root.certificates.get(serial="5")
    assert latin.title == "Grüße"
    assert list(Certificate.objects.matching("grüße")) == [latin]
    assert root.certificates.count() == 2
    codes = [code for _source, _verdict, code in report(Ceremony.objects.get())]
    assert Imported.objects.first().detail["also"] == ["note_name", "note_md5"]
    assert codes == ["note_version_1", "left_serial_zero", "left_serial_seen"]


def test_an_ended_root_is_taken_over_without_a_list(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    later = now + timedelta(days=7400)
    ceremony = asked(files, owner, later)
    claimed = leases.claim(Ceremony.objects.due(later), ceremony.pk, worker="w", at=later)
    importing.ceremonies.make(ceremony=claimed, at=later, clock=lambda: later)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert "root_ended" in ceremony.wish["notes"]
    assert not RevocationList.objects.exists()


def archive(kind: str, files: list[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files:
                zipped.writestr(name, content)
    else:
        with tarfile.open(fileobj=packed, mode=kind) as tarred:
            for name, content in files:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tarred.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
def test_a_folder_in_one_file(kind, files, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    packed = archive(kind, files.issued())
    looked = importing.look(certificate=files.root, issued=[("CA", packed)], at=now)
    assert [each.source for each in looked.found] == ["certs/myhost.crt", "certs/v1.crt"]
    monkeypatch.setattr(importing, "MOST_BYTES", 1000)
    bomb = archive(kind, [("bomb", b"\x00" * 5000)])
    with pytest.raises(NotMade) as refused:
        importing.look(certificate=files.root, issued=[("CA", bomb)], at=now)
    assert refused.value.code == "import_too_big"


def test_an_archive_without_end_is_refused(files, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tarred:
        for number in range(20):
            member = tarfile.TarInfo(f"folder{number}")
            member.type = tarfile.DIRTYPE
            tarred.addfile(member)
    upload = [("CA.tar.gz", packed.getvalue())]
    assert importing.look(certificate=files.root, issued=upload, at=now).found == []
    monkeypatch.setattr("ca.legacy.archive.MOST_MEMBERS", 10)
    with pytest.raises(NotMade) as refused:
        importing.look(certificate=files.root, issued=upload, at=now)
    assert refused.value.code == "import_too_big"


def test_every_reason_has_its_sentence() -> None:
    import re
    from pathlib import Path

    import ca

    folder = Path(ca.__file__).parent
    codes = set()
    for name in ("legacy/__init__.py", "legacy/files.py", "legacy/archive.py", "importing.py"):
        text = (folder / name).read_text()
        codes |= set(re.findall(r'"((?:import|left|note|root)_[a-z0-9_]+)"', text))
    codes -= {"import_open", "import_seal", "import_store", "import_issued"}
    codes |= {f"import_{code}" for code in ("key_rsa_small", "key_rsa_large", "key_curve")}
    missing = sorted(code for code in codes if code not in wording.SENTENCES)
    assert not missing
    assert len(codes) > 40
