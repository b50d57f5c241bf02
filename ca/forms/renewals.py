"""The form that renews a certificate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import csr, packing, passphrases, preparation, renewal
from ca.models import Order, Parcel

# Offered where the signer made the old key too.
BY_SIGNER = "signer"
WAYS = [
    (renewal.NEW_KEY, _("A new key: safer, and usual")),
    (renewal.SAME_KEY, _("Keep the key: where it cannot be changed easily")),
]


class RenewForm(forms.Form):
    way = forms.ChoiceField(
        label=_("Key"), choices=WAYS, initial=renewal.NEW_KEY, widget=forms.RadioSelect
    )
    csr = forms.CharField(
        label=_("Certificate request (CSR)"),
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 7,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
    )
    csr_file = forms.FileField(label=_("or choose its file"), required=False)
    days = forms.IntegerField(
        label=_("Days"),
        required=False,
        min_value=1,
        max_value=825,
        help_text=_("Empty: as long as the old one lives."),
    )

    parcel_form = forms.ChoiceField(
        label=_("Handed over as"), choices=Parcel.FORMS, required=False, initial=packing.P12
    )
    passphrase = forms.CharField(
        label=_("Passphrase"),
        required=False,
        strip=False,
        max_length=passphrases.LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("For the new key: whoever opens the file types it. At least 12 characters."),
    )
    passphrase_again = forms.CharField(
        label=_("The passphrase again"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, order: Order | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        has_request = order is not None and bool(order.csr_pem)
        if order is not None and order.way == Order.SIGNER:
            way = self.fields["way"]
            assert isinstance(way, forms.ChoiceField)
            way.choices = [(BY_SIGNER, _("A new key that the signer makes, as before")), *WAYS]
            way.initial = BY_SIGNER
            self.fields["parcel_form"].initial = order.parcel_form
        else:
            for field in ("parcel_form", "passphrase", "passphrase_again"):
                del self.fields[field]
        self.fields["csr"].help_text = (
            _("For a new key. To keep the key it may stay empty: the old request is used again.")
            if has_request
            else _("Needed either way: the request it was made with is not here.")
        )

    def clean_csr_file(self) -> bytes | None:
        file: UploadedFile | None = self.cleaned_data.get("csr_file")
        return file.read(csr.MOST_BYTES + 1) if file else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("passphrase", "") != cleaned.get("passphrase_again", ""):
            self.add_error("passphrase_again", _("The two passphrases differ. Type them again."))
        return cleaned

    def wish(self, order: Order | None) -> dict[str, Any]:
        """What `renewal.request` is asked for."""
        source = self.source()
        if self.cleaned_data["way"] != BY_SIGNER or order is None:
            pem = preparation.read_csr(source).pem if source else None
            return {"way": self.cleaned_data["way"], "csr_pem": pem}
        return {
            "way": renewal.NEW_KEY,
            "key_algorithm": order.key_algorithm,
            "parcel_form": self.cleaned_data["parcel_form"],
            "passphrase": self.cleaned_data["passphrase"],
        }

    def source(self) -> str | bytes | None:
        """The request, pasted or uploaded (PEM or DER); None where there is none."""
        return self.cleaned_data.get("csr_file") or self.cleaned_data.get("csr") or None
