"""What a domain allows: which passwords, which quotas, how many mailboxes."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import breached, passwords
from accounts.common import common_passwords
from accounts.models import Domain, Mailbox, PasswordRule
from accounts.reading import holds_controls
from accounts.refusals import ReasonsRefusal, TextRefused
from core.errors import Refusal

MOST_QUOTA_MB = 16 * 1024 * 1024  # 16 TiB, so that bytes stay far below 2**63 on the host


class PasswordRefused(ReasonsRefusal):
    """Every reason why the password is not good enough."""

    field = "password"


class QuotaRefused(Refusal):
    """No such quota, or more than the domain allows (`most`)."""

    field = "quota_mb"

    def __init__(self, most: int | None = None) -> None:
        if most is None:
            sentence = _(
                "A quota is a number of megabytes from 1 to %(most)d; leave it empty for no limit."
            )
        else:
            sentence = _(
                "This domain allows a mailbox %(most)d MB at most. Give a number from 1 to that, "
                "or raise the domain's limit first."
            )
        super().__init__(sentence % {"most": MOST_QUOTA_MB if most is None else most})


class DomainFull(Refusal):
    """The domain has as many mailboxes as it may."""

    status = 409
    field = "domain"

    def __init__(self, domain: Domain) -> None:
        most = domain.most_mailboxes or 0
        super().__init__(
            ngettext(
                "%(name)s may have %(count)d mailbox and has no room for another. Erase one, or "
                "raise the domain's limit.",
                "%(name)s may have %(count)d mailboxes and has no room for another. Erase one, or "
                "raise the domain's limit.",
                most,
            )
            % {"name": domain.unicode_name, "count": most}
        )


def policy_of(domain: Domain | None) -> passwords.Policy:
    """The rule for passwords in this domain; without one, what a new domain begins with."""
    if domain is None:
        return passwords.STRONG
    if domain.password_rule == PasswordRule.OWN:
        return passwords.Policy(domain.least_length, domain.least_score)
    return passwords.PRESETS[domain.password_rule]


def judge_password(
    password: str, *, local: str, domain: Domain | None, display_name: str = ""
) -> passwords.Verdict:
    """The verdict on a password for this account, by its domain's rule."""
    words = ["mailadmin", "password"]
    if domain and domain.unicode_name != domain.name:
        words += domain.unicode_name.split(".")
    context = passwords.Context(local, domain.name if domain else "", display_name, tuple(words))
    return passwords.judge(
        password,
        context,
        policy_of(domain),
        common=common_passwords(),
        breached=breached.known(password),
    )


def check_password(password: str, *, local: str, domain: Domain, display_name: str = "") -> None:
    verdict = judge_password(password, local=local, domain=domain, display_name=display_name)
    if not verdict.accepted:
        raise PasswordRefused(verdict.reasons)


def said(text: str, field: str, *, lines: bool = False) -> str:
    """Words as they are stored, without spaces at their ends. TextRefused when a control character
    is among them; `lines` lets the ends of lines and tabs through."""
    words = text.strip()
    if holds_controls(words, but="\r\n\t" if lines else ""):
        raise TextRefused(field)
    return words


def all_said(**typed: str) -> tuple[dict[str, str], list[Refusal]]:
    """`said` of each field, and what is wrong with the others. Only a note has several lines."""
    words: dict[str, str] = {}
    refused: list[Refusal] = []
    for field, text in typed.items():
        try:
            words[field] = said(text, field, lines=field == "note")
        except TextRefused as refusal:
            refused.append(refusal)
    return words, refused


def quota_for(domain: Domain, quota_mb: int | None) -> int | None:
    """What a new mailbox gets: what was asked for, else the domain's usual quota, else its most."""
    if quota_mb is not None:
        return quota_mb
    return domain.quota_mb if domain.quota_mb is not None else domain.most_quota_mb


def check_quota(quota_mb: int | None, domain: Domain) -> None:
    """QuotaRefused. No limit at all is refused, too, where the domain has a most."""
    most = domain.most_quota_mb
    if quota_mb is None:
        if most is not None:
            raise QuotaRefused(most)
    elif not 1 <= quota_mb <= MOST_QUOTA_MB:
        raise QuotaRefused
    elif most is not None and quota_mb > most:
        raise QuotaRefused(most)


def check_room(domain: Domain, more: int = 1) -> None:
    """DomainFull when `more` mailboxes do not fit: all that are not erased count."""
    if domain.most_mailboxes is not None and used(domain) + more > domain.most_mailboxes:
        raise DomainFull(domain)


def used(domain: Domain) -> int:
    return Mailbox.objects.present().filter(domain=domain).count()
