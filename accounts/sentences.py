"""The words for the reason codes of the pure modules: one sentence each, fit for an operator.

`say(reason)` gives the sentence in the language of the moment. A sentence says what is wrong and,
where it is not plain, what to do instead. None of them repeats a password.
"""

from collections.abc import Iterable

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.addresses import Reason

SENTENCES: dict[str, str | Promise] = {
    # addresses
    "address_without_at": _("An address looks like name@example.com; the @ is missing."),
    "address_long": _("The whole address has more than %(most)d characters."),
    "local_missing": _("The name before the @ is missing."),
    "local_long": _("The name before the @ has more than %(most)d characters."),
    "local_has_at": _("Type only the name before the @; the domain is chosen beside it."),
    "local_plus": _(
        "A + cannot be part of the name: mail to name+anything@ already arrives at name@."
    ),
    "local_characters": _(
        "The name may hold the letters a to z, digits, dots, hyphens and underscores. "
        "Other signs mean something else to a mail server."
    ),
    "local_dots": _(
        "The name must begin with a letter or a digit, must not end with a dot, "
        "and must not have two dots in a row."
    ),
    "domain_missing": _("The domain is missing."),
    "domain_characters": _(
        "This is not a domain name: each part holds letters, digits and hyphens, "
        "and does not begin or end with a hyphen."
    ),
    "domain_trailing_dot": _("Leave out the dot at the end of the domain."),
    "domain_has_at": _("Type only the domain, without a name and an @."),
    "domain_long": _(
        "The domain is too long: %(most)d characters at most, and 63 between two dots."
    ),
    "domain_is_ip": _("This is a network address. A mail domain has a name, like example.com."),
    "domain_one_label": _("A mail domain has at least two parts, like example.com."),
    "target_characters": _(
        "The name before the @ holds signs that are not forwarded to: use letters, digits and "
        ". _ + = -"
    ),
    # passwords
    "password_missing": _("The password is missing."),
    "unprintable": _("It holds a control character or an invisible one, which mail programs drop."),
    "compatibility": _(
        "It holds signs that another keyboard types differently, like full-width digits. "
        "Use the ordinary ones."
    ),
    "too_short": _("It has %(length)d characters; %(least)d are the least."),
    "too_long": _("It has more than %(most)d characters, which some mail programs cut off."),
    "equals_name": _("It is the account's own name: the first thing that anybody tries."),
    "derived_from_name": _(
        "It is made from the account's name: backwards, doubled, with digits or with look-alike "
        "signs are among the first things tried."
    ),
    "derived_from_domain": _(
        "It is made from the domain's name, which everybody knows who sends mail here."
    ),
    "common": _("It is on the list of the most used passwords, which attackers try in order."),
    "breached": _(
        "It is among the passwords that were stolen elsewhere and made public. If you use it "
        "anywhere else, change it there too."
    ),
    "guessable": _(
        "It is too easy to guess: %(score)d of 4 points, %(least)d are the least. "
        "Several unrelated words, or the generator, do better."
    ),
}


def say(reason: Reason) -> str:
    return str(SENTENCES[reason.code]) % reason.values


def say_all(reasons: Iterable[Reason]) -> list[str]:
    return [say(reason) for reason in reasons]
