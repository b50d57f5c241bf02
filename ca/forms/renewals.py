"""The form that renews a certificate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import csr, renewal

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

    def __init__(self, *args: Any, has_request: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["csr"].help_text = (
            _("For a new key. To keep the key it may stay empty: the old request is used again.")
            if has_request
            else _("Needed either way: the request it was made with is not here.")
        )

    def clean_csr_file(self) -> bytes | None:
        file: UploadedFile | None = self.cleaned_data.get("csr_file")
        return file.read(csr.MOST_BYTES + 1) if file else None

    def source(self) -> str | bytes | None:
        """The request, pasted or uploaded (PEM or DER); None where there is none."""
        return self.cleaned_data.get("csr_file") or self.cleaned_data.get("csr") or None
