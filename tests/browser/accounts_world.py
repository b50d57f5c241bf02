"""What is added to `tests.browser.world` to look at every page of accounts: mailboxes at each point
of their lives, flags that stand and are set aside, aliases, an invitation, an import and its
report.
"""

import hashlib
import io
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.browser.world import PASSWORD, World

# "test" as md5-crypt: the audit of passwords finds it.
MD5 = "{CRYPT}$1$abcd$T2SbKcrpFB8biuNpvb0F4."
NAMED_LONG = "a-name-that-is-as-long-as-a-local-part-may-be-for-a-mail-address"
CSV = f"""address,password,display_name
bert@example.test,{PASSWORD}xq,Bert
test@example.test,test,
{NAMED_LONG}@example.test,short,名字非常長的一位承辦人員與其所屬的跨部門專案工作小組
nobody@elsewhere.test,{PASSWORD}yr,Nobody
"""


@dataclass
class AccountsWorld:
    """The rows whose pages are looked at."""

    world: World
    closing: Any
    erased: Any
    temporary: Any
    forgotten: Any
    alias: Any
    everything: Any
    domain: Any
    dry_run: Any
    imported: Any
    secret: str

    def paths(self) -> dict[str, str]:
        """Name of the picture and address of the page."""
        box, home = self.world.mailbox.pk, self.domain.pk
        return {
            "list": "/accounts/",
            "list-filtered": "/accounts/?q=example&state=active&sort=-used",
            "list-nothing": "/accounts/?q=nobody-is-called-so",
            "new": "/accounts/new/",
            "mailbox": f"/accounts/{box}/",
            "mailbox-suspended": f"/accounts/{self.world.suspended.pk}/",
            "mailbox-closing": f"/accounts/{self.closing.pk}/",
            "mailbox-erased": f"/accounts/{self.erased.pk}/",
            "mailbox-temporary": f"/accounts/{self.temporary.pk}/",
            "mailbox-flagged": f"/accounts/{self.forgotten.pk}/",
            "edit": f"/accounts/{box}/edit/",
            "password": f"/accounts/{box}/password/",
            "app-password-new": f"/accounts/{box}/app-passwords/new/",
            "end": f"/accounts/{self.temporary.pk}/end/",
            "erase": f"/accounts/{self.closing.pk}/erase/",
            "invitation": f"/accounts/invitation/{self.secret}/",
            "flags": "/accounts/flags/",
            "flags-aside": "/accounts/flags/?kind=set_aside",
            "flags-nothing": "/accounts/flags/?kind=dormant",
            "policy": "/accounts/flags/policy/",
            "aliases": "/accounts/aliases/",
            "aliases-nothing": "/accounts/aliases/?q=nobody",
            "alias-new": "/accounts/aliases/new/",
            "alias-edit": f"/accounts/aliases/{self.alias.pk}/edit/",
            "catch-all-edit": f"/accounts/aliases/{self.everything.pk}/edit/",
            "domains": "/accounts/domains/",
            "domain": f"/accounts/domains/{home}/",
            "domain-edit": f"/accounts/domains/{home}/edit/",
            "imports": "/accounts/imports/",
            "import-new": "/accounts/import/",
            "import-dry-run": f"/accounts/imports/{self.dry_run.pk}/",
            "import-done": f"/accounts/imports/{self.imported.pk}/",
            "import-refused": f"/accounts/imports/{self.imported.pk}/?outcome=refused",
        }


def build(world: World) -> AccountsWorld:
    from accounts import (
        aliases,
        app_passwords,
        closing,
        domains,
        flags,
        invitations,
        lifecycle,
        tasks,
        weakness,
    )
    from accounts.models import Domain, Flag, Mailbox

    now, owner = timezone.now(), world.owner
    domain = world.mailbox.domain
    domains.create(name="empty.example.test", note="For the branch in 高雄", by=owner, at=now)

    def made(name: str, **fields: Any) -> Any:
        return lifecycle.create(
            domain=domain, local_part=name, password=PASSWORD, by=owner, at=now, **fields
        )

    leaving = made("carla", display_name="Carla Stein", owner_contact="ext. 12")
    leaving = closing.close(mailbox=leaving, days=30, reason="left", by=owner, at=now)
    gone = closing.close(mailbox=made("gustav"), days=0, by=owner, at=now)
    gone = closing.erase(mailbox=gone, typed=gone.address, by=owner, at=now)
    guest = made(
        "visitor", display_name="訪客", owner_contact="ext. 7", expires_at=now + timedelta(days=9)
    )
    made(NAMED_LONG, display_name="名字非常長的一位承辦人員與其所屬的跨部門專案工作小組")
    forgotten = Mailbox.objects.create(
        domain=domain, local_part="test", address=f"test@{domain.name}", password=MD5,
        password_set_at=now, state_since=now, created_at=now,
    )  # fmt: skip
    flags.refresh(at=now)
    audit = weakness.start(by=owner, at=now)
    tasks.audit_passwords(audit.pk)
    aside = Flag.objects.filter(mailbox=world.mailbox).first()
    assert aside is not None
    flags.exempt(flag=aside, reason="the scanner on floor 2", until=None, by=owner, at=now)
    alias = aliases.create(
        domain=domain, local_part="team", by=owner, at=now, note="Sales",
        targets=["mei@example.test", "partner@elsewhere.test", f"{NAMED_LONG}@example.test"],
        expires_at=now + timedelta(days=40),
    )  # fmt: skip
    everything = aliases.create(
        domain=domain, local_part="*", targets=["partner@elsewhere.test"], by=owner, at=now
    )
    for box, used in ((guest, 1300), (forgotten, 96), (world.suspended, 101)):
        Mailbox.objects.filter(pk=box.pk).update(
            quota_mb=5120 if used > 1000 else 100, used_bytes=used * 1024 * 1024, used_at=now
        )
    for name in ("Phone", "名字非常長的一台辦公室多功能事務機"):
        made_one, _secret = app_passwords.create(
            mailbox=world.mailbox, name=name, imap=True, sending=True, by=owner, at=now
        )
    app_passwords.revoke(app_password=made_one, by=owner, at=now)
    Mailbox.objects.filter(pk=world.mailbox.pk).update(
        quota_mb=1000, used_bytes=990_000_000, used_at=now, last_used_at=now
    )
    _invitation, secret = invitations.invite(mailbox=guest, by=owner, at=now)
    dry_run = imported(owner, now, dry_run=True)
    return AccountsWorld(
        world, leaving, gone, guest, forgotten, alias, everything, Domain.objects.get(pk=domain.pk),
        dry_run, imported(owner, now, dry_run=False), secret,
    )  # fmt: skip


def imported(owner: Any, at: Any, *, dry_run: bool) -> Any:
    """The import of `CSV`, worked off; two of its lines are refused."""
    from accounts import importing, reading, tasks
    from accounts.import_rows import Choices

    total = hashlib.sha256()
    batch = importing.request(
        rows=reading.read(io.BytesIO(CSV.encode()), total=total), total=total, name="staff.csv",
        choices=Choices(), dry_run=dry_run, by=owner, at=at,
    )  # fmt: skip
    tasks.import_accounts(batch.pk)
    batch.refresh_from_db()
    assert batch.state == batch.DONE, batch.state
    return batch
