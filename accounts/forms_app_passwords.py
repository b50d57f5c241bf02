"""Forms about app passwords."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms_closing import LastDayField


class AppPasswordForm(forms.Form):
    name = forms.CharField(
        label=_("Which program it is for"),
        max_length=80,
        help_text=_("Such as “Phone” or “Scanner on the second floor”."),
    )
    imap = forms.BooleanField(label=_("Reading by IMAP"), required=False, initial=True)
    pop3 = forms.BooleanField(label=_("Reading by POP3"), required=False)
    sending = forms.BooleanField(label=_("Sending"), required=False, initial=True)
    expires_at = LastDayField(
        label=_("Works until"), help_text=_("To the end of that day. Empty: until it is revoked.")
    )
