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
    # files of accounts, as a whole
    "csv_empty": _("The file holds no accounts."),
    "csv_big": _(
        "The file is larger than %(most)d MB. Split it, with the first line in each part."
    ),
    "csv_many": _("The file has more than %(most)d accounts. Split it."),
    "csv_line_long": _("Line %(line)d is longer than %(most)d KB. Is this a CSV file?"),
    "csv_not_utf8": _("The file is not text in UTF-8. Save it as “CSV UTF-8”."),
    "csv_delimiter": _(
        "The columns are to be separated by a comma, a semicolon or a tab. Save the file so."
    ),
    "csv_no_address": _(
        "The first line does not name the columns: one of them must be “address”. Known are: "
        "%(known)s."
    ),
    "csv_columns": _(
        "These columns are not known: %(unknown)s. Take them out or rename them; known are: "
        "%(known)s."
    ),
    "csv_column_twice": _("The first line names %(column)s twice."),
    # a row of such a file
    "row_quotes": _("The quotation marks of this line do not fit together."),
    "row_cells": _(
        "The line has %(found)d cells, the first line of the file %(expected)d. A cell with the "
        "separator in it needs quotation marks."
    ),
    "row_not_utf8": _("The line is not text in UTF-8."),
    "row_twice": _("The file has this address in a line before."),
    "row_control": _("There is a control character in %(column)s."),
    "row_long": _("%(column)s has more than %(most)d characters."),
    "row_quota": _("The quota is a number of megabytes, %(most)d at most; 0 is no limit."),
    "row_state": _("The state is active or suspended."),
    "row_expires_at": _("The end of a temporary account is a day, like 2027-01-31."),
    "row_both_passwords": _("Give a password or its hash, not both."),
    "hash_unknown": _(
        "The mail hosts cannot check this hash. They take Argon2id, bcrypt, SHA-512, SHA-256 and "
        "MD5 of crypt, and yescrypt."
    ),
    "hash_plain": _("This is a clear password: it belongs in the column “password”."),
    "passwd_line": _("This is not a line of a passwd file."),
    "shadow_missing": _("The shadow file does not have this user."),
    "shadow_no_password": _("This user has no password that could log in."),
    "import_no_domain": _("There is no domain %(domain)s. Add it, or let the import add domains."),
    "import_domain_full": _("%(domain)s has as many mailboxes as it may."),
    "import_quota_most": _("This domain allows a mailbox %(most)d MB at most, and not no limit."),
    "import_alias": _("There is an alias with this address. Delete it first."),
    "import_erased": _("The address was erased and is not handed on."),
    "import_erasing": _(
        "The address was erased, and its mail is not deleted from its host yet. Try again when it "
        "is."
    ),
    "import_expired": _("The end of the temporary account is past: choose a later one."),
    "import_owner_missing": _("A temporary account needs somebody who looks after it."),
    "import_closing": _("The account is being closed. Open it again first."),
    "import_differs": _(
        "There is such an account, and the file says otherwise: %(columns)s. Let the import "
        "change accounts, if the file is right."
    ),
    # an import that did not come to its end
    "import_worker_failed": _(
        "The work broke off again and again. The log of the console says why."
    ),
    "import_unreadable": _("What was read cannot be opened any more. Upload the file again."),
    "import_disturbed": _("The same accounts were changed again and again meanwhile. Try again."),
}


def say(reason: Reason) -> str:
    return str(SENTENCES[reason.code]) % reason.values


def say_all(reasons: Iterable[Reason]) -> list[str]:
    return [say(reason) for reason in reasons]
