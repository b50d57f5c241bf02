"""Forms for roots that are elsewhere, and for requests that come from there."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ca.forms.authorities import IssuingFields, IssuingForm, country_field, organisation_field

MOST_UPLOADED = 512 * 1024


def _pem(label: Any, begin: str, help_text: Any = "", *, required: bool = False) -> forms.CharField:
    attrs = {"rows": 4, "placeholder": f"-----BEGIN {begin}-----", "spellcheck": "false"}
    return forms.CharField(
        label=label,
        required=required,
        widget=forms.Textarea(attrs=attrs | {"class": "mono"}),
        help_text=help_text,
    )


def uploaded(form: forms.Form, field: str) -> bytes:
    """What was chosen as a file, or else pasted."""
    file = form.cleaned_data.get(f"{field}_file")
    if file is not None:
        return bytes(file.read(MOST_UPLOADED))
    return str(form.cleaned_data.get(field, "")).encode("utf-8", "surrogateescape")


class RequestForm(IssuingFields):
    """An issuing authority whose root is elsewhere: that root decides how long it lives."""

    organisation = organisation_field()
    country = country_field()
    issuing_life = None  # type: ignore[assignment]
    issuing_days = None  # type: ignore[assignment]

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()


class SubordinateForm(IssuingForm):
    """A certificate for the request of an authority elsewhere. The key is the request's."""

    csr = _pem(
        _("Its request (CSR)"),
        "CERTIFICATE REQUEST",
        _("Only the key is taken from it; everything else is what this page says."),
    )
    csr_file = forms.FileField(label=_("or as a file"), required=False)
    organisation = organisation_field()
    country = country_field()
    origin = None  # type: ignore[assignment]
    issuing_algorithm = None  # type: ignore[assignment]
    issuing_on_token = None  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["issuing_name"].label = _("Name of the authority")
        self.fields["issuing_name"].help_text = _(
            "The name under which its own software knows it, if it has one already."
        )

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()


class CertificateForm(forms.Form):
    """The certificate that was signed elsewhere, and the chain above it."""

    certificate = _pem(_("The signed certificate"), "CERTIFICATE")
    certificate_file = forms.FileField(label=_("or as a file"), required=False)
    chain = _pem(
        _("The certificates above it, up to the root"),
        "CERTIFICATE",
        _("In any order. Those this console knows may be left out."),
    )
    chain_file = forms.FileField(label=_("or as a file"), required=False)
