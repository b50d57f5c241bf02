"""Forms of the list of certificates, and of what is done to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ca import lists, revocation, wording
from ca.models import Certificate


def _day() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


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
            (Certificate.VALID, _("valid")),
            (lists.ENDING, _("ends soon")),
            *Certificate.STATES[1:],
            (Certificate.EXPIRED, _("expired")),
        ],
    )
    days = forms.IntegerField(
        label=_("Soon: within days"),
        required=False,
        min_value=0,
        max_value=36_525,
        widget=forms.NumberInput(attrs={"placeholder": lists.SOON_DAYS}),
    )
    issuer = forms.TypedChoiceField(
        label=_("Issuer"), required=False, coerce=int, empty_value=None, choices=[]
    )
    profile = forms.ChoiceField(label=_("Kind"), required=False, choices=[])
    since = forms.DateField(label=_("Ends from"), required=False, widget=_day())
    until = forms.DateField(label=_("Ends until"), required=False, widget=_day())
    batch = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    order = forms.ChoiceField(
        label=_("Sort"),
        required=False,
        choices=[
            (lists.SOONEST, _("Ends first")),
            (lists.LATEST, _("Ends last")),
            (lists.NEWEST, _("Newest first")),
        ],
    )

    def __init__(
        self,
        *args: Any,
        issuers: Mapping[int, str],
        profiles: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        choices = {"issuer": issuers.items(), "profile": profiles.items()}
        for name, offered in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", _("Any")), *offered]

    def asked(self) -> lists.Asked:
        """What was asked for; a field that makes no sense is left out, and says so in the form."""
        self.is_valid()
        said = self.cleaned_data
        return lists.Asked(
            **{
                field.name: said[field.name]
                for field in fields(lists.Asked)
                if said.get(field.name) not in (None, "")
            }
        )
