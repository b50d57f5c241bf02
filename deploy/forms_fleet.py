"""Putting several hosts live: which goes first, when it begins, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from deploy.models import Host

NOW, LATER = "now", "later"


class BeginningForm(forms.Form):
    """`begins` after `is_valid()`: None for at once.

    The browser sends the date and time as the operator reads it, and the moment it is
    (`static/js/app.js`); without that it counts as UTC, as the page then says.
    """

    when = forms.ChoiceField(
        label=_("When"),
        choices=[(NOW, _("At once")), (LATER, _("At a time"))],
        widget=forms.RadioSelect,
        initial=NOW,
        required=False,
    )
    starts_at = forms.CharField(
        label=_("Date and time"),
        required=False,
        widget=forms.TextInput(attrs={"type": "datetime-local", "data-moment": "moment"}),
    )
    moment = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=200,
        help_text=_("Kept with the generation, for whoever looks back."),
    )

    begins: datetime | None = None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("when") == LATER:
            self.begins = _moment(data.get("moment", "")) or _moment(
                f"{data.get('starts_at', '')}Z"
            )
            if self.begins is None:
                self.add_error("starts_at", _("Choose the date and the time."))
        return data


class FleetForm(BeginningForm):
    first = forms.ChoiceField(
        label=_("Goes first"),
        required=False,
        help_text=_("The others begin when it is proved, side by side; after a failure none does."),
    )
    field_order = ("first", "when", "starts_at", "moment", "reason")

    def __init__(self, *args: Any, hosts: Sequence[Host], **options: Any) -> None:
        super().__init__(*args, **options)
        self._hosts = {str(host.pk): host for host in hosts}
        choices = [(str(host.pk), host.fqdn) for host in hosts]
        self.fields["first"].choices = choices  # type: ignore[attr-defined]
        # A host on which nothing can go wrong is the best one to go first.
        rehearsal = next((str(host.pk) for host in hosts if host.practice), None)
        self.fields["first"].initial = rehearsal

    @property
    def first_host(self) -> Host | None:
        return self._hosts.get(self.cleaned_data.get("first", ""))


def _moment(text: str) -> datetime | None:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
