"""The form that sets flags aside."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms_closing import LastDayField


class ExemptForm(forms.Form):
    reason = forms.CharField(
        label=_("Why it may stay"),
        max_length=500,
        help_text=_("For whoever looks at this list next year."),
    )
    until = LastDayField(
        label=_("Until"), help_text=_("Then the flag counts again. Leave it empty for good.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="id_exempt_%s", **kwargs)
