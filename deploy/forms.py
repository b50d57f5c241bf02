"""Forms: they carry text to the verbs and the verbs' refusals back to the fields."""

import ipaddress
import re

from django import forms
from django.utils.translation import gettext_lazy as _

from ca.models import Issuer
from core.errors import Refusal
from deploy import practising, sentences
from deploy.models import Host
from deploy.render import CannotRender, lines

_HOST_NAME = re.compile(r"(?!.{254})[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def add_refusal(form: forms.Form, refusal: Refusal) -> None:
    field = getattr(refusal, "field", "")
    form.add_error(field if field in form.fields else None, refusal.sentence)


class FqdnField(forms.CharField):
    def __init__(self, **options: object) -> None:
        options.setdefault("label", _("Full name of the server"))
        widget = forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"})
        super().__init__(max_length=240, widget=widget, **options)  # type: ignore[arg-type]

    def clean(self, value: object) -> str:
        name = str(super().clean(value)).strip().rstrip(".").lower()
        try:
            return lines.host_name("fqdn", name)
        except CannotRender as error:
            raise forms.ValidationError(sentences.cannot_render(error)) from None


class AddressField(forms.CharField):
    def __init__(self, **options: object) -> None:
        options.setdefault("label", _("Address"))
        widget = forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"})
        super().__init__(max_length=253, widget=widget, **options)  # type: ignore[arg-type]

    def clean(self, value: object) -> str:
        text = str(super().clean(value)).strip().strip("[]")
        try:
            return ipaddress.ip_address(text).compressed
        except ValueError:
            if text and not _HOST_NAME.fullmatch(text):
                raise forms.ValidationError(
                    _("This is neither an IP address nor a host name.")
                ) from None
        return text


class AddHostForm(forms.Form):
    fqdn = FqdnField(
        help_text=_("As mail programs and other servers know it, for example mail.example.com.")
    )
    address = AddressField(
        required=False,
        help_text=_("Where the console reaches it by SSH. Empty: by its name."),
    )
    ssh_port = forms.IntegerField(label=_("SSH port"), min_value=1, max_value=65535, initial=22)

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("address") and "address" not in self.errors:
            cleaned["address"] = cleaned.get("fqdn", "")
        return cleaned


class PracticeForm(forms.Form):
    fqdn = FqdnField(
        label=_("Name of the practice host"),
        initial=practising.FQDN,
        help_text=_(
            "Any full name below a domain that your authority may speak for. Nobody else sees it."
        ),
    )
    release = forms.ChoiceField(
        label=_("Debian"), choices=list(practising.RELEASES.items()), initial="bookworm"
    )


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    address = AddressField()

    class Meta:
        model = Host
        fields = ["address", "ssh_port", "message_size_mb"]


class SnippetsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Only for the mail server that the host has."""

    class Meta:
        model = Host
        fields = ["snippet_sendmail", "snippet_postfix", "snippet_dovecot"]
        widgets = {
            name: forms.Textarea(
                attrs={"rows": 8, "class": "mono", "spellcheck": "false", "autocapitalize": "none"}
            )
            for name in ("snippet_sendmail", "snippet_postfix", "snippet_dovecot")
        }
        help_texts = {
            "snippet_sendmail": _("m4, as in sendmail.mc; put behind the console's own lines."),
            "snippet_postfix": _(
                "As in main.cf; put behind the console's own lines. A setting of the console's "
                "that you set here is replaced."
            ),
            "snippet_dovecot": _("As in dovecot.conf; put behind the console's own lines."),
        }

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        for mta, _name in Host.MTAS:
            if mta != self.instance.mta:
                del self.fields[f"snippet_{mta}"]


class CertificateForm(forms.Form):
    issuer = forms.ModelChoiceField(
        label=_("Authority"), queryset=Issuer.objects.none(), empty_label=None
    )
    names = forms.CharField(
        label=_("Names"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("One a line. Empty: the server's own name."),
    )

    def __init__(self, *args: object, issuers: list[Issuer], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        field = self.fields["issuer"]
        field.queryset = Issuer.objects.filter(pk__in=[each.pk for each in issuers])  # type: ignore[attr-defined]
        if len(issuers) == 1:
            field.initial = issuers[0]
            field.widget = forms.HiddenInput()

    def clean_names(self) -> list[str]:
        return self.cleaned_data["names"].split()


class InsistForm(forms.Form):
    """Beside the button that goes back to a generation whose certificate was revoked since."""

    insist = forms.BooleanField(label=_("Serve this certificate all the same"))


class GiveBackForm(forms.Form):
    typed = forms.CharField(
        label=_("The server's name"),
        max_length=253,
        widget=forms.TextInput(
            attrs={"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("Typed once more, so that it is this server and no other."),
    )
    mark = forms.CharField(widget=forms.HiddenInput(), max_length=64)
