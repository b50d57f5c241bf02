"""The form of a domain's settings."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import PasswordRule


class DomainSettingsForm(forms.Form):
    """Numbers out of range are the verb's to refuse: its sentences say the range."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    most_mailboxes = forms.IntegerField(
        label=_("Mailboxes at most"),
        required=False,
        help_text=_("Empty: no limit. Those that are there already stay, and count."),
    )
    quota_mb = forms.IntegerField(
        label=_("Quota of a new mailbox, in MB"),
        required=False,
        help_text=_("What a mailbox gets when nobody says another number. Empty: as the next one."),
    )
    most_quota_mb = forms.IntegerField(
        label=_("Quota at most, in MB"),
        required=False,
        help_text=_("Empty: no limit. Larger quotas from before stay until they are edited."),
    )
    password_rule = forms.ChoiceField(
        label=_("Passwords"),
        choices=PasswordRule.choices,
        help_text=_(
            "Counts for passwords that are set from now on. NIST SP 800-63B-4 asks for 15 "
            "characters where the password is the only proof, as it is for mail programs."
        ),
    )
    least_length = forms.IntegerField(
        label=_("Own numbers: least length"),
        required=False,
        help_text=_("8 to 64 characters."),
    )
    least_score = forms.IntegerField(
        label=_("Own numbers: least score"),
        required=False,
        help_text=_("How hard it is to guess: 0 is not asked, 3 is hard, 4 is very hard."),
    )
    note = forms.CharField(
        label=_("Remark"), required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )

    def clean(self) -> dict[str, Any]:
        """An empty number of one's own is the one that stands: the presets do not read it."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("least_length", "least_score"):
            if name in given and given[name] is None:
                given[name] = self.initial[name]
        return given
