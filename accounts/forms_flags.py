"""Forms of the flags: to set some aside, and the policy."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import policy
from accounts.forms_closing import LastDayField
from accounts.models import FlagKind


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


class PolicyForm(forms.Form):
    """`numbers` says how many accounts each kind concerns now."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    on = forms.BooleanField(label=_("Suspend flagged accounts after a notice"), required=False)
    kinds = forms.MultipleChoiceField(
        label=_("What for"), required=False, widget=forms.CheckboxSelectMultiple
    )
    notice_days = forms.IntegerField(
        label=_("Days between the notice and the suspension"),
        help_text=_("Who was told of more days before keeps them."),
    )

    def __init__(self, *args: Any, numbers: dict[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kinds"].choices = [  # type: ignore[attr-defined]
            (kind, self._label(kind, numbers[kind])) for kind in policy.KINDS
        ]

    @staticmethod
    def _label(kind: str, count: int) -> str:
        text = ngettext(
            "%(kind)s: %(count)d account now", "%(kind)s: %(count)d accounts now", count
        )
        return text % {"kind": FlagKind(kind).label, "count": count}
