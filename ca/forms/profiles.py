"""The form of a copy of a profile."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ca import copying, profiles, wording
from ca.models import ProfileCopy


class CopyForm(forms.Form):
    """What a copy of `base` holds; with `copy`, what it is to hold from now on.

    It offers no more than the base has; whether what was chosen fits together is judged by the
    verb.
    """

    name = forms.CharField(
        label=_("Name"),
        max_length=copying.LONGEST_NAME,
        help_text=_("What people choose it by, such as “Inside hosts”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    slug = forms.CharField(
        label=_("Id"),
        max_length=20,
        help_text=_(
            "For commands and the API: lower-case letters, digits and hyphens. It stays for good."
        ),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
        ),
    )
    days = forms.IntegerField(label=_("Days unless asked otherwise"), min_value=1)
    most_days = forms.IntegerField(label=_("Days at most"), min_value=1)
    name_kinds = forms.MultipleChoiceField(
        label=_("Names it may carry"), widget=forms.CheckboxSelectMultiple
    )
    wildcards = forms.BooleanField(label=_("Wildcards, such as *.example.com"), required=False)
    purposes = forms.MultipleChoiceField(label=_("Purposes"), widget=forms.CheckboxSelectMultiple)

    def __init__(
        self,
        *args: Any,
        base: profiles.Profile,
        copy: ProfileCopy | None = None,
        **kwargs: Any,
    ) -> None:
        start = {
            "days": base.days,
            "most_days": base.most_days,
            "name_kinds": sorted(base.name_kinds),
            "wildcards": base.wildcards,
            "purposes": list(base.purposes),
        }
        if copy is not None:
            start = {each: getattr(copy, each) for each in ("name", *start)}
        super().__init__(*args, initial=start, **kwargs)
        self.fields["most_days"].help_text = _("1 to %(most)s.") % {"most": base.most_days}
        kinds, purposes = self.fields["name_kinds"], self.fields["purposes"]
        assert isinstance(kinds, forms.MultipleChoiceField)
        assert isinstance(purposes, forms.MultipleChoiceField)
        kinds.choices = [
            (kind, wording.NAME_KINDS[kind])
            for kind in wording.NAME_KINDS
            if kind in base.name_kinds
        ]
        purposes.choices = [(each, wording.PURPOSES[each]) for each in base.purposes]
        if not base.wildcards:
            del self.fields["wildcards"]
        if copy is not None:
            del self.fields["slug"]

    def holds(self) -> dict[str, Any]:
        """What the verbs take, apart from who and when."""
        return {"wildcards": False} | self.cleaned_data
