"""The form that asks for many certificates."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import bulk, preparation, profiles
from ca.models import Issuer, IssuerQuerySet


class BatchForm(forms.Form):
    file = forms.FileField(
        label=_("File with the certificate requests"),
        required=False,
        help_text=_(
            "PEM, one request behind the other, as “cat *.csr” writes it. At most 50,000 requests, "
            "64 MB."
        ),
    )
    csrs = forms.CharField(
        label=_("or paste them"),
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 6,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
    )
    profile = forms.ChoiceField(label=_("Kind"), initial=profiles.HOST.id, choices=[])
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
        issuer, profile = self.fields["issuer"], self.fields["profile"]
        assert isinstance(issuer, forms.ModelChoiceField)
        assert isinstance(profile, forms.ChoiceField)
        issuer.queryset = issuers
        profile.choices = preparation.choices()

    def clean_file(self) -> str:
        file: UploadedFile | None = self.cleaned_data.get("file")
        if file is None:
            return ""
        # What is beyond it makes the verb refuse the whole.
        return file.read(bulk.MOST_BYTES + 1).decode("utf-8", "replace")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["requests"] = bulk.split(cleaned.get("file") or cleaned.get("csrs") or "")
        return cleaned
