"""Forms of the list of certificates, and of what is done to one."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from ca import revocation, wording
from ca.models import Certificate, Issuer


class RevokeForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Why"),
        choices=[(code, wording.REASONS[code]) for code in revocation.REASONS],
        help_text=_("It goes into the revocation list, as RFC 5280 names it."),
    )


class FilterForm(forms.Form):
    """The list's filters; they stand in the URL."""

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": _("Name, serial number or fingerprint")}
        ),
    )
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("Any")),
            *Certificate.STATES,
            (Certificate.EXPIRED, _("expired")),
        ],
    )
    issuer = forms.ModelChoiceField(
        label=_("Issuer"), queryset=Issuer.objects.all(), required=False, empty_label=_("Any")
    )
    order = forms.ChoiceField(
        label=_("Sort"),
        required=False,
        choices=[("", _("Ends first")), ("latest", _("Ends last"))],
    )
