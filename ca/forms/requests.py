"""The forms that ask for a certificate, one a way to its key."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import csr, keys, packing, passphrases, preparation, profiles, template, wording
from ca.models import Certificate, Issuer, IssuerQuerySet, Order, Parcel

# What WebCrypto makes and every client takes: Ed25519 is for authorities, RSA 4096 takes minutes
# on a phone.
BROWSER_KEYS = ("p256", "p384", "rsa2048", "rsa3072")


class WishForm(forms.Form):
    """What every way asks: for whom, of what kind, how long, by whom."""

    profile = forms.ChoiceField(label=_("Kind"), required=False)
    names = forms.CharField(
        label=_("Names"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_(
            "One a line: host names and IP addresses of a host, mail addresses of a person."
        ),
    )
    common_name = forms.CharField(
        label=_("The person's name"),
        required=False,
        max_length=template.LONGEST_COMMON_NAME,
        help_text=_("As mail programs show it, such as Anna Lin. Empty: the mail address."),
    )
    organisation = forms.CharField(
        label=_("Organisation"), required=False, max_length=template.LONGEST_FIELD
    )
    days = forms.IntegerField(
        label=_("Days"),
        required=False,
        min_value=1,
        max_value=profiles.HOST.most_days,
        help_text=_("Empty: as usual for its kind, mostly 90. At most 825."),
    )
    issuer = forms.ModelChoiceField(
        label=_("Signed by"), queryset=Issuer.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, issuers: IssuerQuerySet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["issuer"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = issuers
        profile = self.fields["profile"]
        assert isinstance(profile, forms.ChoiceField)
        profile.choices = preparation.choices()
        # The page asks for a person's name only where the certificate has one.
        profile.widget.attrs["data-person"] = " ".join(
            each for each, _label in preparation.choices() if has_own_name(each)
        )

    def clean_profile(self) -> str:
        return self.cleaned_data["profile"] or profiles.HOST.id

    def subject(self) -> dict[str, str]:
        """The subject's fields; a person's name only for a kind that has one."""
        data = self.cleaned_data
        own = data["common_name"] if has_own_name(data["profile"]) else ""
        fields = {"CN": own, "O": data["organisation"]}
        return {field: value.strip() for field, value in fields.items() if value.strip()}

    def hidden(self) -> list[tuple[str, str]]:
        """What the preview posts again: all but files and passphrases."""
        data = self.cleaned_data
        given = {"issuer": data["issuer"].pk, "names": "\n".join(self.texts())}
        if data.get("renews"):
            given["renews"] = data["renews"].pk
        return [
            (name, str(given.get(name, data.get(name)) or ""))
            for name in self.fields
            if name not in ("csr", "csr_file")
        ]

    def texts(self) -> list[str]:
        return preparation.split_names(self.cleaned_data["names"])


def has_own_name(profile_id: str) -> bool:
    try:
        return preparation.read_profile(profile_id).own_common_name
    except preparation.ProfileRefused:
        return False


class RequestForm(WishForm):
    """A certificate for a request (CSR) that was made elsewhere."""

    field_order = ("csr", "csr_file", "profile", "names")

    csr = forms.CharField(
        label=_("Certificate request (CSR)"),
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 9,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
        help_text=_("Paste it with its BEGIN and END lines. The private key stays where it is."),
    )
    csr_file = forms.FileField(label=_("or choose its file"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["names"].help_text = _(
            "Host names and IP addresses, one a line, or a person's mail addresses. Empty: the "
            "names in the request."
        )

    def clean_csr_file(self) -> bytes | None:
        file: UploadedFile | None = self.cleaned_data.get("csr_file")
        return file.read(csr.MOST_BYTES + 1) if file else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["source"] = cleaned.get("csr_file") or cleaned.get("csr") or ""
        return cleaned


class HostForm(WishForm):
    """Only looked at: the order itself is made on the host's page."""


class BrowserForm(WishForm):
    """A key that the page makes; `csr` comes from its script."""

    key_algorithm = forms.ChoiceField(
        label=_("Key"),
        choices=[(each, keys.ALGORITHM_LABELS[each]) for each in BROWSER_KEYS],
        help_text=_("P-256 is quick and understood everywhere; RSA for old devices."),
    )
    csr = forms.CharField(required=False, widget=forms.HiddenInput)
    # What the new one takes the place of.
    renews = forms.ModelChoiceField(
        queryset=Certificate.objects.leaves(), required=False, widget=forms.HiddenInput
    )


class SignerForm(WishForm):
    """A key that the signer makes. The passphrase is asked for with the preview."""

    key_algorithm = forms.ChoiceField(
        label=_("Key"),
        choices=[(each, keys.ALGORITHM_LABELS[each]) for each in keys.LEAF_ALGORITHMS],
        help_text=_("P-256 is quick and understood everywhere; RSA for old devices."),
    )
    parcel_form = forms.ChoiceField(label=_("Handed over as"), choices=Parcel.FORMS)


class PassphraseForm(forms.Form):
    """The passphrase that a key is put under; never put back into the page."""

    passphrase = forms.CharField(
        label=_("Passphrase"),
        strip=False,
        max_length=passphrases.LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "At least 12 characters of an English keyboard; several words are easiest. Whoever "
            "opens the file types it."
        ),
    )
    passphrase_again = forms.CharField(
        label=_("The passphrase again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_passphrase(self) -> str:
        passphrase = str(self.cleaned_data["passphrase"])
        broken = packing.problems(passphrase)
        if broken:
            raise forms.ValidationError([wording.sentence(code) for code in broken])
        return passphrase

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, second = cleaned.get("passphrase"), cleaned.get("passphrase_again")
        if first and second and first != second:
            self.add_error("passphrase_again", _("The two passphrases differ. Type them again."))
        return cleaned


FORMS: dict[str, type[WishForm]] = {
    Order.HOST: HostForm,
    Order.ELSEWHERE: RequestForm,
    Order.BROWSER: BrowserForm,
    Order.SIGNER: SignerForm,
}
