"""The form that asks for a certificate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import csr, profiles
from ca.models import Issuer, IssuerQuerySet


class RequestForm(forms.Form):
    """A certificate for a request (CSR) that was made elsewhere."""

    csr = forms.CharField(
        label=_("Certificate request (CSR)"),
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 9,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
        help_text=_("Paste it with its BEGIN and END lines. The private key stays where it is."),
    )
    csr_file = forms.FileField(label=_("or choose its file"), required=False)
    names = forms.CharField(
        label=_("Names"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("Host names and IP addresses, one a line. Empty: the names in the request."),
    )
    days = forms.IntegerField(
        label=_("Days"),
        min_value=1,
        max_value=profiles.HOST.most_days,
        initial=profiles.HOST.days,
        help_text=_("At most 825. Short lives are safer: 90 is usual."),
    )
    issuer = forms.ModelChoiceField(
        label=_("Signed by"), queryset=Issuer.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, issuers: IssuerQuerySet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["issuer"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = issuers

    def clean_csr_file(self) -> bytes | None:
        file: UploadedFile | None = self.cleaned_data.get("csr_file")
        return file.read(csr.MOST_BYTES + 1) if file else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["source"] = cleaned.get("csr_file") or cleaned.get("csr") or ""
        return cleaned
