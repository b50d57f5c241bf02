"""One click and one suspension on a practice host with 100,000 accounts, timed from the console.

Run by `benchmarks.first_light` inside a running console's data folder: the verbs are called here,
the console's own workers do the work, and the clients are the standard library's.
"""

from __future__ import annotations

import imaplib
import json
import poplib
import smtplib
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.utils import timezone

ACCOUNTS = 100_000
CLICKS = 8
SUSPENSIONS = 20
DOMAIN = "example.test"
PASSWORD = "kapim4-tovuz7-relof2-dasik9"


def main() -> None:
    from core.models import Operator

    owner = Operator.objects.create_user(username="bench", password="not used 1234", role="owner")
    practice, host = _practice(owner)
    _certify(host, issuer(owner), owner)
    _accounts(host)
    first = _put_live(host, owner)
    clicks = [_click(host, owner, size) for size in range(60, 60 + CLICKS)]
    suspensions = [_suspend(host, owner, number) for number in range(SUSPENSIONS)]
    sys.stdout.write(
        json.dumps(
            {
                "practice": practice,
                "first": first,
                "clicks": clicks,
                "suspensions": suspensions,
                "accounts": ACCOUNTS,
            }
        )
    )


def until(what: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise RuntimeError("the console did not come to an end; see its log")
        time.sleep(0.01)
    return found


def _practice(owner: Any) -> tuple[float, Any]:
    from deploy import practising

    begin = time.perf_counter()
    _ended(practising.begin(by=owner, at=timezone.now()))
    return time.perf_counter() - begin, practising.host()


def _ended(job: Any) -> None:
    def over() -> bool:
        job.refresh_from_db()
        return not job.is_open

    until(over, 600)
    if job.state != job.DONE:
        raise RuntimeError(f"{job.kind}: {job.problem} {job.problem_detail}")


def issuer(owner: Any, domain: str = DOMAIN) -> Any:
    from ca import authorities
    from ca.models import Ceremony
    from ca.wishes import AuthorityWish, Wish

    ceremony = authorities.request_hierarchy(
        wish=Wish(
            root=AuthorityWish("Example Root", "p256", 7305),
            issuing=AuthorityWish("Example Issuing", "p256", 1826),
            permitted=(domain,),
            origin="",
        ),
        unconstrained=False,
        passphrase="six honest serving men",
        by=owner,
        at=timezone.now(),
    )
    until(lambda: Ceremony.objects.filter(pk=ceremony.pk, state=Ceremony.DONE).exists())
    ceremony.refresh_from_db()
    return ceremony.made


def _certify(host: Any, issuer: Any, owner: Any) -> None:
    from deploy import certificates

    _ended(certificates.ask(host=host, issuer=issuer, by=owner, at=timezone.now()))
    host.refresh_from_db()


def _accounts(host: Any) -> None:
    """The rows that the verb would write, without hashing the same password 100,000 times."""
    from accounts.hashing import hash_password
    from accounts.models import Domain, Mailbox

    now, hashed = timezone.now(), hash_password(PASSWORD)
    domain = Domain.objects.create(name=DOMAIN, host=str(host.uuid), created_at=now)
    rows = [
        Mailbox(
            domain=domain,
            local_part=f"u{number:06}",
            address=f"u{number:06}@{DOMAIN}",
            password=hashed,
            password_set_at=now,
            state_since=now,
            created_at=now,
        )
        for number in range(ACCOUNTS)
    ]
    for start in range(0, ACCOUNTS, 500):
        Mailbox.objects.bulk_create(rows[start : start + 500])


def _put_live(host: Any, owner: Any, **asked: Any) -> float:
    """Seconds from the click to the confirmed row."""
    from deploy import rollout

    begin = time.perf_counter()
    row = rollout.request(hosts=[host], by=owner, at=timezone.now(), **asked).hosts.get()

    def over() -> bool:
        row.refresh_from_db()
        return not row.is_open

    until(over)
    took = time.perf_counter() - begin
    if row.state != row.CONFIRMED:
        raise RuntimeError(f"rollout: {row.state} {row.problem}")
    return took


def _click(host: Any, owner: Any, size: int) -> float:
    host.message_size_mb = size
    host.save(update_fields=["message_size_mb"])
    return _put_live(host, owner)


def _suspend(host: Any, owner: Any, number: int) -> float:
    """Seconds from the verb until the open session has ended and all three protocols refuse,
    while a rollout runs. A login that was under way when it began must not count: each protocol
    is asked once the host has the change, and any that still lets the user in is an error."""
    from accounts import lifecycle
    from accounts.models import Change, Mailbox
    from deploy import rollout
    from deploy.models import AccountPush, HostRollout

    until(lambda: not HostRollout.objects.open().exists())
    mailbox = Mailbox.objects.get(address=f"u{number:06}@{DOMAIN}")
    session = imaplib.IMAP4_SSL(host.address, ssl_context=_context(), timeout=30)
    session.login(mailbox.address, PASSWORD)
    rollout.request(hosts=[host], by=owner, at=timezone.now(), even_if_same=True)
    time.sleep(0.3 + 0.1 * (number % 10))
    ended: list[float] = []

    def watch() -> None:
        try:
            while session.sock.recv(4096):
                pass
        except OSError:
            pass
        ended.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    lifecycle.suspend(mailbox=mailbox, by=owner, at=timezone.now())
    change = Change.objects.latest_id(str(host.uuid))
    pushed = AccountPush.objects.filter(host=host, through_change__gte=change)
    until(pushed.exists)
    live = time.perf_counter()
    for refused in (_imap, _pop3, _smtp):
        if not refused(host.address, mailbox.address):
            raise RuntimeError(f"{refused.__name__} let a suspended account in")
    watcher.join(30)
    if not ended:
        raise RuntimeError("the open session did not end")
    return max(live, ended[0]) - begin


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _imap(address: str, login: str) -> bool:
    with imaplib.IMAP4_SSL(address, ssl_context=_context(), timeout=30) as client:
        try:
            client.login(login, PASSWORD)
        except imaplib.IMAP4.error:
            return True
    return False


def _pop3(address: str, login: str) -> bool:
    client = poplib.POP3_SSL(address, context=_context(), timeout=30)
    try:
        client.user(login)
        client.pass_(PASSWORD)
    except poplib.error_proto:
        return True
    finally:
        client.close()
    return False


def _smtp(address: str, login: str) -> bool:
    with smtplib.SMTP_SSL(address, 465, context=_context(), timeout=30) as client:
        try:
            client.login(login, PASSWORD)
        except smtplib.SMTPAuthenticationError:
            return True
    return False


def lines(measured: dict[str, Any]) -> list[str]:
    clicks, suspensions = sorted(measured["clicks"]), sorted(measured["suspensions"])
    p95 = suspensions[max(0, round(0.95 * len(suspensions)) - 1)]
    many = f"{measured['accounts']:,} accounts"
    return [
        f"{'practice host, root in the cache':36} {measured['practice']:5.1f} s",
        f"{'first deployment, ' + many:36} {measured['first']:5.1f} s",
        f"{'one click, median of ' + str(len(clicks)):36} {statistics.median(clicks):5.2f} s"
        f"  budget 5 s, slowest {clicks[-1]:.2f} s",
        f"{'suspended during a rollout, p95':36} {p95:5.2f} s"
        f"  budget 1 s, {len(suspensions)} of {many},"
        f" median {statistics.median(suspensions):.2f} s",
    ]
