"""Forms of the operators' pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Domain
from core import operators, roles
from core.models import Operator

# What a role is for, in half a line beside the choice.
ROLES = {
    roles.OWNER: _("Owner: everything, operators and authorities included"),
    roles.ADMINISTRATOR: _("Administrator: the daily work, in all domains and on all hosts"),
    roles.DOMAIN_MANAGER: _("Domain manager: accounts and aliases in the domains chosen below"),
    roles.HELPDESK: _("Helpdesk: sets passwords and suspends in the domains chosen below"),
    roles.AUDITOR: _("Auditor: sees everything, changes nothing"),
}


class OperatorForm(forms.Form):
    """To edit one. The verbs say what is wrong with the values; `seen` is what the page showed."""

    email = forms.CharField(
        label=_("Email address"),
        required=False,
        max_length=254,
        help_text=_("Notices go there, and one can sign in with it."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=list(ROLES.items()), widget=forms.RadioSelect)
    domains = forms.MultipleChoiceField(
        label=_("Domains"), required=False, widget=forms.CheckboxSelectMultiple
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, operator: Operator | None = None, **kwargs: Any) -> None:
        if operator is not None:
            kwargs["initial"] = {
                "email": operator.email,
                "role": operator.role,
                "domains": operator.domains,
                "seen": operators.stamp(operator),
            }
        super().__init__(*args, **kwargs)
        choices = [(each.name, each.unicode_name) for each in Domain.objects.order_by("name")]
        self.fields["domains"].choices = choices  # type: ignore[attr-defined]
        if not choices:
            self.fields["domains"].help_text = _(
                "There is no domain yet. Add one under Accounts first."
            )


class NewOperatorForm(OperatorForm):
    username = forms.CharField(
        label=_("Username"),
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    field_order = ["username", "email", "role", "domains"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["seen"]
