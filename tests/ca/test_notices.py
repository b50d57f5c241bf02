"""Notices of what ends soon, up to what a mail server was given."""

from __future__ import annotations

import email
import email.policy
import smtplib
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from ca import due, issuance, notices, tasks
from ca.models import Certificate, Notice
from core import outgoing
from core.models import AuditEvent, Operator
from tests.ca.conftest import request_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaf(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    return signed("mail1.example.test", issuing, owner, now)


def signed(name, issuing, owner, now, **options) -> Certificate:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=[name],
        issuer=issuing,
        csr_pem=request_for(name),
        by=owner,
        at=now,
        **options,
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None
    return order.certificate


def read(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]


def sent(notice: Notice, at) -> Notice:  # type: ignore[no-untyped-def]
    """After a worker has come to it."""
    from core import leases

    claimed = leases.claim(notices.due(at), notice.pk, worker="test", at=at)
    assert claimed is not None
    notices.send(notice=claimed, at=at)
    return claimed


def before(certificate: Certificate, **span: float):  # type: ignore[no-untyped-def]
    return certificate.not_after - timedelta(**span)


def test_a_digest_reaches_everybody_who_can_act_in_their_language(
    leaf, sink, owner, viewer
) -> None:  # type: ignore[no-untyped-def]
    viewer.email = "viewer@example.test"
    viewer.save()
    Operator.objects.create_user(
        "mei", "mei@example.test", "correct horse 42", role="administrator", language="zh-hant"
    )
    Operator.objects.create_user("nobody", "", "correct horse 42", role="administrator")
    at = before(leaf, days=30)
    found = notices.collect(at=at)
    assert len(found) == 2
    for notice in found:
        assert sent(notice, at).sent_at == at
    (first, raw), (second, raw2) = sink.mails
    assert (first, second) == (["owner@example.test"], ["mei@example.test"])
    mail, other = read(raw), read(raw2)
    assert mail["Subject"] == "1 certificate ends soon"
    assert mail["From"] == "Mailadmin <console@example.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "mail1.example.test: in 30 days" in text
    assert "https://console.example.test/certificates/due/" in text
    assert "mail1.example.test" in other.get_content()
    assert {each.sent_at for each in Notice.objects.all()} == {at}


def test_each_threshold_is_told_once(leaf, sink) -> None:  # type: ignore[no-untyped-def]
    assert notices.collect(at=before(leaf, days=31)) == []
    told = []
    for hours in range(31 * 24, 0, -6):
        at = before(leaf, hours=hours)
        for notice in notices.collect(at=at):
            told.append((hours / 24, notice.certificates))
            sent(notice, at)
        leaf.refresh_from_db()
    # A digest looks half a day ahead, so that nothing is told later than its day.
    assert [days for days, _ids in told] == [30.25, 14.5, 7.5, 1.5]
    assert all(ids == [leaf.pk] for _days, ids in told)
    assert leaf.noticed_days == 1
    assert [read(raw).get_content().count("mail1") for _to, raw in sink.mails] == [1, 1, 1, 1]


def test_one_digest_for_many_and_not_one_a_minute(leaf, issuing, owner, now, sink) -> None:  # type: ignore[no-untyped-def]
    later = signed("mail2.example.test", issuing, owner, now)
    much = signed("mail3.example.test", issuing, owner, now)
    for each, hours in ((later, 6), (much, 20)):
        end = leaf.not_after + timedelta(hours=hours)
        Certificate.objects.filter(pk=each.pk).update(not_after=end)
    at = before(leaf, days=30)
    (notice,) = notices.collect(at=at)
    assert notice.certificates == [leaf.pk, later.pk]
    assert notices.collect(at=at + timedelta(hours=11)) == []
    (notice,) = notices.collect(at=at + timedelta(hours=12))
    assert notice.certificates == [much.pk]


def test_a_short_life_is_not_told_of_at_once(issuing, owner, now, sink) -> None:  # type: ignore[no-untyped-def]
    leaf = signed("mail1.example.test", issuing, owner, now, days=6)
    assert notices.collect(at=now) == []
    (notice,) = notices.collect(at=before(leaf, days=2))
    assert notice.certificates == [leaf.pk]


def test_an_authority_that_ends_is_told_of(issuing, sink) -> None:  # type: ignore[no-untyped-def]
    certificate = issuing.certificate
    (notice,) = notices.collect(at=before(certificate, days=30))
    assert notice.certificates == [certificate.pk]


def test_what_is_revoked_or_superseded_meanwhile_is_not_said(leaf, sink) -> None:  # type: ignore[no-untyped-def]
    at = before(leaf, days=30)
    (notice,) = notices.collect(at=at)
    Certificate.objects.filter(pk=leaf.pk).update(state=Certificate.SUPERSEDED)
    sent(notice, at)
    assert sink.mails == [] and not Notice.objects.exists()


def test_who_left_gets_none(leaf, sink, owner) -> None:  # type: ignore[no-untyped-def]
    at = before(leaf, days=30)
    (notice,) = notices.collect(at=at)
    owner.is_active = False
    owner.save()
    sent(notice, at)
    assert sink.mails == [] and not Notice.objects.exists()


def test_a_server_that_refuses_is_tried_again_less_and_less_often(leaf, sink) -> None:  # type: ignore[no-untyped-def]
    at = before(leaf, days=30)
    (notice,) = notices.collect(at=at)
    sink.answer = b"451 4.7.1 greylisted, come back"
    tried = sent(notice, at)
    assert tried.problem == "451 4.7.1 greylisted, come back"
    assert tried.sent_at is None and tried.next_try_at == at + timedelta(minutes=1)
    assert not notices.due(at).exists()
    at = tried.next_try_at
    tried = sent(notice, at)
    assert tried.next_try_at == at + timedelta(minutes=2)
    standing = notices.standing(at)
    assert standing.problem == tried.problem and standing.waiting == 1
    sink.answer = b""
    at = tried.next_try_at
    assert sent(notice, at).sent_at == at
    assert notices.standing(at).problem == "" and len(sink.mails) == 1


def test_a_server_that_is_away(leaf, sink, settings) -> None:  # type: ignore[no-untyped-def]
    at = before(leaf, days=30)
    (notice,) = notices.collect(at=at)
    sink.server_close()
    tried = sent(notice, at)
    assert tried.problem and tried.sent_at is None and tried.next_try_at > at


@pytest.mark.parametrize(
    ("tries", "minutes"), [(0, 1), (1, 1), (2, 2), (5, 16), (9, 256), (10, 360), (999, 360)]
)
def test_the_pause_doubles_up_to_six_hours(tries: int, minutes: int) -> None:
    assert outgoing.pause(tries) == timedelta(minutes=minutes)


def test_what_the_server_said_has_no_password_in_it() -> None:
    error = smtplib.SMTPAuthenticationError(535, b"5.7.8 authentication failed")
    assert outgoing.said(error) == "535 5.7.8 authentication failed"
    assert outgoing.said(smtplib.SMTPServerDisconnected("")) == "SMTPServerDisconnected"
    assert len(outgoing.said(OSError("x" * 900))) == 400


def test_without_a_mail_server_nothing_is_queued(leaf, settings, signed_in, owner) -> None:  # type: ignore[no-untyped-def]
    cache.clear()
    assert settings.MAIL_CONFIGURED is False
    at = before(leaf, days=7)
    assert notices.collect(at=at) == [] and not due.ends_to_tell(at).exists()
    Notice.objects.create(certificates=[leaf.pk], recipients=[owner.pk], made_at=at, next_try_at=at)
    assert not due.notices_to_send(at).exists()
    leaf.refresh_from_db()
    assert leaf.noticed_days is None, "once there is one, people are told"
    page = signed_in.get(reverse("ca:due")).content.decode()
    assert "no mail server is configured" in page


def test_without_anybody_to_tell_nothing_is_queued(leaf, sink, owner, signed_in) -> None:  # type: ignore[no-untyped-def]
    Operator.objects.update(email="")
    at = before(leaf, days=7)
    assert notices.collect(at=at) == [] and not due.ends_to_tell(at).exists()
    assert "Nobody gets them" in signed_in.get(reverse("ca:due")).content.decode()


def test_the_tick_asks_for_one_row_and_not_every_five_seconds(
    leaf, issuing, owner, now, sink
) -> None:  # type: ignore[no-untyped-def]
    signed("mail2.example.test", issuing, owner, now)
    at = before(leaf, days=20)
    assert list(due.ends_to_tell(at)) == [leaf]
    assert not due.ends_to_tell(at).exists(), "it has just looked"
    cache.clear()
    notices.collect(at=at)
    assert not due.ends_to_tell(at).exists(), "everybody is told"


def test_the_tasks_collect_and_send(issuing, owner, now, sink, sent_nudges) -> None:  # type: ignore[no-untyped-def]
    leaf = signed("mail1.example.test", issuing, owner, now, days=2)
    Certificate.objects.update(not_before=timezone.now() - timedelta(days=4))
    tasks.collect_notices(leaf.pk)
    notice = Notice.objects.get()
    tasks.send_notice(notice.pk)
    notice.refresh_from_db()
    assert notice.sent_at is not None and len(sink.mails) == 1
    tasks.send_notice(notice.pk)
    assert len(sink.mails) == 1, "a message that comes twice sends nothing twice"


def test_a_test_mail(sink, owner, now) -> None:  # type: ignore[no-untyped-def]
    notice = notices.request_test(by=owner, at=now)
    assert sent(notice, now).sent_at == now
    ((to, raw),) = sink.mails
    assert to == ["owner@example.test"] and read(raw)["Subject"] == "Mailadmin can send mail"
    assert AuditEvent.objects.get(action="ca.notice.test_requested").actor == owner


def test_a_test_mail_that_cannot_be_sent_says_why(owner, now, settings) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(notices.NotSent) as refusal:
        notices.request_test(by=owner, at=now)
    assert refusal.value.code == "mail_not_configured" and "MAILADMIN_MAIL_URL" in str(
        refusal.value
    )
    settings.MAIL_CONFIGURED = True
    owner.email = ""
    with pytest.raises(notices.NotSent) as refusal:
        notices.request_test(by=owner, at=now)
    assert refusal.value.code == "mail_no_address"
    assert not Notice.objects.exists()


def test_the_settings_page_sends_a_test_mail(sink, signed_in, viewer, client) -> None:  # type: ignore[no-untyped-def]
    address = reverse("mail_settings")
    page = signed_in.get(address).content.decode()
    assert "smtp://127.0.0.1:" in page and "Send a test mail" in page
    said = signed_in.post(address, follow=True).content.decode()
    assert "A test mail to owner@example.test is on its way." in said
    assert Notice.objects.get().certificates == []
    client.force_login(viewer)
    assert client.get(address).status_code == 403
    assert client.post(address).status_code == 403


def test_the_settings_page_teaches_what_to_set(signed_in) -> None:  # type: ignore[no-untyped-def]
    page = signed_in.get(reverse("mail_settings")).content.decode()
    assert "MAILADMIN_MAIL_URL=smtp://" in page and "Send a test mail" not in page
