"""Forms of the pages that belong to no single app."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _

from core.api_auth import scopes_for
from core.models import Operator


class NewPassword(forms.CharField):
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password", "minlength": 12})


class SetupForm(forms.ModelForm):
    """The first owner."""

    password = NewPassword(
        label=_("Password"),
        help_text=_("At least twelve characters, not only digits, nothing that others use."),
    )

    class Meta:
        model = Operator
        fields = ["username", "email"]
        labels = {"username": _("Username"), "email": _("Email address")}
        help_texts = {"username": ""}
        widgets = {
            "username": forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_password(self, cleaned, Operator(**{k: cleaned.get(k, "") for k in self.Meta.fields}))
        return cleaned


class RestoreForm(forms.Form):
    """A new password for an operator who was locked out."""

    password = NewPassword(label=_("New password"))

    def __init__(self, *args: Any, operator: Operator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operator = operator

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_password(self, cleaned, self.operator)
        return cleaned


def check_password(form: forms.BaseForm, cleaned: dict[str, Any], operator: Operator) -> None:
    """Django's validators, with the operator's own name and address as input."""
    if "password" not in cleaned:
        return
    try:
        validate_password(cleaned["password"], operator)
    except forms.ValidationError as error:
        form.add_error("password", error)


class ProfileForm(forms.ModelForm):
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)

    class Meta:
        model = Operator
        fields = ["email", "language"]
        labels = {"email": _("Email address")}
        widgets = {"email": forms.EmailInput(attrs={"autocomplete": "email"})}


SCOPE_LABELS = {
    "ca:read": _("See authorities and certificates"),
    "ca:issue": _("Issue and revoke certificates"),
    "accounts:read": _("See domains and mailboxes"),
    "accounts:write": _("Make, change and suspend mailboxes"),
    "deploy:read": _("See hosts and rollouts"),
    "deploy:write": _("Put changes live"),
}


class TokenForm(forms.Form):
    """Offers the scopes that are of use to `operator`'s role."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("What it is for, such as “nightly export”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(label=_("It may"), widget=forms.CheckboxSelectMultiple)
    days = forms.TypedChoiceField(
        label=_("It ends"),
        coerce=int,
        initial=90,
        choices=[
            (7, _("in a week")),
            (30, _("in a month")),
            (90, _("in three months")),
            (365, _("in a year")),
            (0, _("never")),
        ],
    )

    def __init__(self, *args: Any, operator: Operator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope, SCOPE_LABELS[scope]) for scope in scopes_for(operator)
        ]


class ActivityFilter(forms.Form):
    q = forms.CharField(label=_("Search"), required=False, max_length=100)
    area = forms.ChoiceField(
        label=_("Area"),
        required=False,
        choices=[
            ("", _("Everything")),
            ("ca", _("Certificates")),
            ("accounts", _("Accounts")),
            ("deploy", _("Hosts")),
            ("core", _("Console")),
        ],
    )
    who = forms.CharField(label=_("Who"), required=False, max_length=150)
