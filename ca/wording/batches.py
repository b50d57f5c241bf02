"""Sentences about batches of requests and about many certificates at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    "batch_empty": _(
        "There is no certificate request in it. Each begins with “-----BEGIN CERTIFICATE "
        "REQUEST-----”."
    ),
    "batch_too_many": _(
        "%(found)s requests are too many for one batch: at most %(most)s. Ask for several batches."
    ),
    "batch_too_big": _("These requests are too big for one batch: at most %(most)s MB together."),
    "none_selected": _("Nothing was changed: tick certificates first."),
    "none_able": _("None of the ticked certificates is in a state for that. Nothing was changed."),
    "too_many_selected": _(
        "%(found)s certificates are too many at once: at most %(most)s. Tick fewer."
    ),
}
