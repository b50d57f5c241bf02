"""Sentences about renewal, exports and notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    # a key that its owner brings
    "key_large": _("This is larger than any key. Choose the file of the private key."),
    "key_unreadable": _(
        "This is no private key that can be read. Paste it with its BEGIN and END lines, or choose "
        "its file."
    ),
    "key_passphrase": _(
        "The passphrase does not open the key. Type the one it was made with; upper and lower case "
        "count."
    ),
    "key_differs_from_certificate": _(
        "This key belongs to another certificate. Choose the one that the request was made with."
    ),
    # renewal
    "renewal_way_unknown": _("“%(value)s” is no way to renew. Choose one of %(ways)s."),
    "renewal_authority": _(
        "“%(name)s” is an authority. Its page makes a successor, or signs a root anew."
    ),
    "renewal_revoked": _(
        "“%(name)s” is %(state)s, so its place is not simply handed on. Ask for a new certificate."
    ),
    "renewal_superseded": _("“%(name)s” has its successor already. Renew that one."),
    "renewal_under_way": _(
        "“%(name)s” is being renewed: order #%(order)s is open. Wait for it, or cancel it first."
    ),
    "renewed_already": _(
        "“%(name)s” is renewed: the new one is valid until %(end)s. Put it in use, then say so on "
        "its page."
    ),
    "renewal_on_host": _(
        "The key of “%(name)s” is on its mail host, where it was made. Renew it on the host's "
        "page, or bring a request of your own."
    ),
    "renewal_request_missing": _(
        "The request it was made with is not here. Bring a request with the same key, or choose a "
        "new key."
    ),
    "renewal_key_missing": _("A new key needs its request. Bring it."),
    "renewal_key_differs": _(
        "This request holds another key. Bring one with the same key, or choose a new key."
    ),
    "renewal_key_same": _(
        "This request holds the old key. Bring one with another, or choose to keep the key."
    ),
    # the new one in use
    "renews_nothing": _("“%(name)s” takes no other certificate's place."),
    "replacement_invalid": _("“%(name)s” is not valid itself, so it cannot take another's place."),
    "superseded_already": _("“%(name)s” is superseded already."),
    "old_is_revoked": _("“%(name)s” is %(state)s: there is nothing left to supersede."),
    "superseded_by_probe": _(
        "A mail host serves “%(name)s”. It is superseded by itself once the console has seen the "
        "new one served there."
    ),
    # notices
    "mail_not_configured": _(
        "No mail server is configured: set MAILADMIN_MAIL_URL and MAILADMIN_MAIL_FROM in the "
        "console's environment and start it again."
    ),
    "mail_no_address": _("Your profile has no e-mail address. Enter one first."),
}

# Why something is on the page "Due", by the codes of `ca.lifetimes`; `ends` counts, see below.
DUE: Mapping[str, Any] = {
    "renewed": _("It is renewed. Put the new one in use, then say so."),
    "issuer_revoked": _(
        "The authority that signed it is revoked or on hold: nobody believes it any more. Ask for "
        "one from another authority."
    ),
    "issuer_retired": _("Its authority has a successor, which signs the new one."),
    "no_successor": _("Its authority signs no more and has no successor. Make one first."),
    "issuer_ends": _(
        "Its authority ends on the same day, and so would the new one. Make a successor first."
    ),
    "authority_ends": _(
        "What it signs must be shortened from now on, or soon. Make its successor; both work side "
        "by side."
    ),
    "root_ends": _(
        "Every device needs the next root before this one ends. Sign it anew with the same key, or "
        "make another."
    ),
    "authority_ended": _("It has ended, and with it everything it signed."),
    "list_ends": _("Its revocation list ends soon. Only its passphrase can sign the next one."),
    "list_behind": _(
        "Its revocation list does not say the last revocation yet. Only its passphrase can sign "
        "the next one."
    ),
}


class _Due(Protocol):
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def days(self) -> int: ...


def due_reasons(due: _Due) -> list[str]:
    """The sentences for the codes of something that is due."""
    return [due_reason(code, due.days) for code in due.reasons]


def due_reason(code: str, days: int) -> str:
    if code != "ends":
        return str(DUE[code])
    if days < 1:
        return gettext("It ends within a day.")
    return ngettext(
        "It ends in %(days)d day, in the last third of its life.",
        "It ends in %(days)d days, in the last third of its life.",
        days,
    ) % {"days": days}
