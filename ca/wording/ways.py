"""Sentences about who makes the key, and how it is handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    "way_unknown": _("There is no way “%(value)s”. Choose one of %(known)s."),
    "way_needs_csr": _("A key that was made elsewhere needs its request. Send the CSR."),
    "way_without_csr": _(
        "The signer is to make the key, and yet there is a request for another. Leave the CSR out, "
        "or the passphrase and the form."
    ),
    "parcel_form_unknown": _("A key is not handed over as “%(value)s”. Choose one of %(known)s."),
    "parcel_passphrase_missing": _("Enter the passphrase that the key is to be put under."),
    "passphrase_characters": _(
        "Use only the letters, digits and signs of an English keyboard: phones and Windows read "
        "other characters differently, and could not open the file."
    ),
    "parcel_missing": _("The signer made no key for this order: there is nothing to download."),
    "parcel_taken": _(
        "The key was downloaded already, and erased here at once. If it did not arrive, issue the "
        "certificate again."
    ),
    "parcel_overdue": _(
        "Nobody fetched the key within seven days, and it was erased. Issue the certificate again."
    ),
}
