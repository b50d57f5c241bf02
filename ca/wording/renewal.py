"""Sentences about renewal, exports and notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
}
