"""Forms: they carry text to the verbs and the verbs' refusals back to the fields.

Those with a choice of domains take those there are for the operator as `domains`.
"""

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from accounts import aliases, domains
from accounts.addresses import CATCH_ALL
from accounts.forms_closing import LastDayField
from accounts.models import Alias, Domain, MailboxState
from accounts.refusals import ReasonsRefusal, SeveralRefused
from core.errors import Refusal
from core.paging import Order


def add_refusal(form: forms.Form, refusal: Refusal) -> None:
    """Put a verb's refusal where the operator is looking: at its field, else above the form."""
    if isinstance(refusal, SeveralRefused):
        for one in refusal.refusals:
            add_refusal(form, one)
        return
    field = getattr(refusal, "field", "")
    words = refusal.sentences if isinstance(refusal, ReasonsRefusal) else [refusal.sentence]
    for sentence in words:
        form.add_error(field if field in form.fields else None, sentence)


def _watched(url_name: str, target: str, trigger: str) -> dict[str, Any]:
    """A field whose words the server looks at while they are typed."""
    return {
        "hx-post": reverse_lazy(f"accounts:{url_name}"),
        "hx-target": target,
        "hx-trigger": trigger,
        "hx-include": "closest form",
        "hx-sync": "this:replace",
        "autocapitalize": "none",
        "spellcheck": "false",
    }


def password_widget() -> forms.PasswordInput:
    trigger = "input changed delay:300ms, change from:[data-about-password]"
    return forms.PasswordInput(
        attrs={
            **_watched("password_check", "#password-verdict", trigger),
            "autocomplete": "new-password",
            "aria-describedby": "password-verdict",
        }
    )


class PasswordField(forms.CharField):
    """Spaces at the ends belong to a password; the answer never holds it."""

    def __init__(self) -> None:
        super().__init__(label=_("Password"), strip=False, widget=password_widget())
        # A null character is one of the reasons of the rules, beside the others.
        self.validators: list[object] = []


class NewMailboxForm(forms.Form):
    local_part = forms.CharField(label=_("Name before the @"), max_length=320)
    domain = forms.ModelChoiceField(
        label=_("Domain"), queryset=Domain.objects.none(), empty_label=None
    )
    invite = forms.BooleanField(
        label=_("Let the owner set the password, by a link"),
        required=False,
        help_text=_("The link is shown once and works for a week. Until then nobody can log in."),
    )
    password = PasswordField()
    display_name = forms.CharField(
        label=_("Person or purpose"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"data-about-password": "", "autocomplete": "off"}),
    )
    owner_contact = forms.CharField(
        label=_("Who looks after it"),
        required=False,
        max_length=200,
        help_text=_("A person, a telephone number or another address: whom to ask about it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    expires_at = LastDayField(
        label=_("Temporary until"),
        help_text=_("Suspended by itself when this day is over. Empty: it stays for good."),
    )
    quota_mb = forms.IntegerField(
        label=_("Quota in MB"),
        required=False,
        help_text=_("Empty: what the domain gives a new mailbox, or no limit where it says none."),
    )
    note = forms.CharField(
        label=_("Remark"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 3})
    )
    reuse_reason = forms.CharField(
        label=_("Why the address is handed on"), required=False, max_length=500
    )
    name_reason = forms.CharField(
        label=_("What this account is for, and until when"), required=False, max_length=500
    )

    def __init__(self, *args: Any, domains: QuerySet[Domain], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["domain"].queryset = domains
        about = {"data-about-password": ""}
        watched = _watched(
            "name_check",
            "#name-verdict",
            "input changed delay:300ms, change from:#id_domain",
        )
        self.fields["local_part"].widget.attrs |= watched | about | {"autocomplete": "off"}
        self.fields["local_part"].widget.attrs["aria-describedby"] = "name-verdict"
        self.fields["domain"].widget.attrs |= about
        self.fields["domain"].label_from_instance = lambda domain: domain.unicode_name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("invite"):
            self.errors.pop("password", None)
            cleaned["password"] = None
        return cleaned


class EditMailboxForm(forms.Form):
    revision = forms.IntegerField(widget=forms.HiddenInput)
    display_name = forms.CharField(label=_("Person or purpose"), required=False, max_length=200)
    owner_contact = forms.CharField(
        label=_("Who looks after it"),
        required=False,
        max_length=200,
        help_text=_("A person, a telephone number or another address: whom to ask about it."),
    )
    quota_mb = forms.IntegerField(
        label=_("Quota in MB"), required=False, help_text=_("Empty: no limit.")
    )
    note = forms.CharField(
        label=_("Remark"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 3})
    )


class PasswordForm(forms.Form):
    password = PasswordField()


class ResetForm(PasswordForm):
    """`has_app_passwords`: there are some that could be revoked with it."""

    revoke_app_passwords = forms.BooleanField(
        label=_("Also revoke its app passwords. Otherwise they go on working."), required=False
    )

    def __init__(self, *args: Any, has_app_passwords: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if not has_app_passwords:
            del self.fields["revoke_app_passwords"]


class InviteForm(forms.Form):
    end_password = forms.BooleanField(
        label=_("The password it has now stops working at once, and open sessions end."),
        required=False,
    )


class SuspendForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), required=False, max_length=500)
    refuses_mail = forms.BooleanField(
        label=_("Also refuse new mail. Otherwise it goes on arriving."), required=False
    )


class NewDomainForm(forms.Form):
    name = forms.CharField(
        label=_("Domain"),
        max_length=1000,
        help_text=_("What stands after the @, like example.com. Other scripts are fine."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    note = forms.CharField(label=_("Remark"), required=False, max_length=500)


class AliasForm(forms.Form):
    targets = forms.CharField(
        label=_("Goes to"),
        max_length=40_000,
        help_text=_("One address a line, of this server or of another."),
        widget=forms.Textarea(attrs={"rows": 4, "autocapitalize": "none", "spellcheck": "false"}),
    )
    expires_at = LastDayField(
        label=_("Only until"),
        help_text=_("The alias is deleted by itself when this day is over. Empty: it stays."),
    )
    note = forms.CharField(label=_("Remark"), required=False, max_length=1000)

    def clean_targets(self) -> list[str]:
        text: str = self.cleaned_data["targets"]
        return [part for line in text.splitlines() for part in line.replace(",", " ").split()]


class EditAliasForm(AliasForm):
    revision = forms.IntegerField(widget=forms.HiddenInput)


class NewAliasForm(AliasForm):
    local_part = forms.CharField(
        label=_("Name before the @"),
        max_length=320,
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    domain = forms.ModelChoiceField(
        label=_("Domain"), queryset=Domain.objects.none(), empty_label=None
    )

    catch_all = forms.BooleanField(
        label=_("Instead of a name: everything else that is sent to this domain (catch-all)"),
        required=False,
        help_text=_(
            "It takes every name that no account and no alias has, also of accounts that were "
            "erased. Spammers make up names: expect much spam. Where it is not needed, single "
            "aliases are better."
        ),
    )

    def __init__(self, *args: Any, domains: QuerySet[Domain], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["domain"].queryset = domains
        self.fields["domain"].label_from_instance = lambda domain: domain.unicode_name

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if not said.pop("catch_all", False):
            if not said.get("local_part") and "local_part" not in self.errors:
                self.add_error("local_part", self.fields["targets"].error_messages["required"])
        elif said.get("local_part") not in ("", CATCH_ALL):
            self.add_error("local_part", _("A catch-all has no name: leave this field empty."))
        else:
            said["local_part"] = CATCH_ALL
        return said


class FilterForm(forms.Form):
    """What a list shows, from its URL; words that make no sense show everything."""

    SORTS = [
        ("address", _("Address, A to Z")),
        ("-address", _("Address, Z to A")),
        ("-id", _("Newest first")),
        ("id", _("Oldest first")),
        ("-used", _("Used last first")),
        ("used", _("Longest unused first")),
    ]
    # Those never used are the longest unused.
    ORDERS: ClassVar[dict[str, Order]] = {
        "-used": ("-last_used_at", "-pk"),
        "used": ("last_used_at", "pk"),
    }

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    domain = forms.ModelChoiceField(
        label=_("Domain"),
        required=False,
        queryset=Domain.objects.none(),
        to_field_name="name",
        empty_label=_("All domains"),
    )
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("All states")), *MailboxState.choices]
    )
    sort = forms.ChoiceField(label=_("Sort by"), required=False, choices=SORTS)

    def __init__(self, *args: Any, domains: QuerySet[Domain], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["domain"].queryset = domains
        self.fields["domain"].label_from_instance = lambda domain: domain.unicode_name
        for name in ("domain", "state", "sort"):
            self.fields[name].widget.attrs["data-submit-on-change"] = ""

    @property
    def order(self) -> Order:
        """For `core.paging.page_of`, once the form is cleaned."""
        chosen = self.cleaned_data.get("sort") or "address"
        return self.ORDERS.get(chosen, chosen)


def new_domain(form: NewDomainForm, **given: Any) -> Domain | None:
    """The domain, or None with the refusal in the form."""
    try:
        return domains.create(
            name=form.cleaned_data["name"], note=form.cleaned_data["note"], **given
        )
    except Refusal as refusal:
        add_refusal(form, refusal)
        return None


def new_alias(form: NewAliasForm, **given: Any) -> Alias | None:
    """As new_domain."""
    try:
        return aliases.create(**form.cleaned_data, **given)
    except Refusal as refusal:
        add_refusal(form, refusal)
        return None


def edit_alias(form: EditAliasForm, alias: Alias, **given: Any) -> Alias | None:
    try:
        return aliases.edit(alias=alias, **form.cleaned_data, **given)
    except Refusal as refusal:
        add_refusal(form, refusal)
        return None
