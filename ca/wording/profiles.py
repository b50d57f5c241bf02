"""Sentences about copies of profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    "copy_base": _(
        "“%(base)s” cannot be copied. Copy the profile for mail hosts, persons or clients."
    ),
    "copy_most_days": _("It may allow from 1 to %(most)s days, as what it is a copy of does."),
    "copy_days": _("Choose from 1 to %(most)s days, the most that it allows."),
    "copy_no_kinds": _("Choose at least one kind of name."),
    "copy_kinds": _("What it is a copy of does not carry: %(extra)s."),
    "copy_wildcards": _("Wildcards need host names, and a profile that has wildcards."),
    "copy_no_purposes": _("Choose at least one purpose."),
    "copy_purposes": _("What it is a copy of does not serve: %(extra)s."),
    "copy_id_bad": _(
        "“%(value)s” cannot be an id: 2 to 20 lower-case letters, digits and hyphens, a letter "
        "first."
    ),
    "copy_id_taken": _("There is already a profile with the id “%(value)s”. Choose another."),
    "copy_name_bad": _("A profile needs a name of at most 64 characters, in plain text."),
    "copy_name_taken": _("There is already a profile called “%(value)s”. Choose another name."),
    "copy_retired": _("“%(value)s” is retired already. To edit it, take it into use again first."),
    "copy_not_retired": _("“%(value)s” is in use already."),
}
