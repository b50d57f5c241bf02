"""Forms of the end of a mailbox's life, and of a temporary one's."""

import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import closing


class LastDayField(forms.DateField):
    """A day; its value is the moment it ends."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
        super().__init__(required=False, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        day = super().clean(value)
        if day is None:
            return None
        return timezone.make_aware(datetime.datetime.combine(day, datetime.time(23, 59, 59)))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return timezone.localtime(value).date()
        return value


class CloseForm(forms.Form):
    days = forms.IntegerField(
        label=_("Days for which its mail is kept"),
        initial=closing.KEPT_DAYS,
        min_value=0,
        max_value=closing.MOST_DAYS,
    )
    reason = forms.CharField(label=_("Reason"), required=False, max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="id_close_%s", **kwargs)


class EraseForm(forms.Form):
    typed = forms.CharField(
        label=_("Type the address of the account"),
        max_length=320,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    early = forms.BooleanField(
        label=_("Erase it although its mail was to be kept longer"), required=False
    )


class ExpiryForm(forms.Form):
    expires_at = LastDayField(
        label=_("Temporary until"),
        help_text=_("Suspended by itself when this day is over. Empty: it stays for good."),
    )
    name_reason = forms.CharField(
        label=_("Why it must stay although its name looks like a test"),
        required=False,
        max_length=500,
    )
