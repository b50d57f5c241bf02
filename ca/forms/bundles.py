"""The form in which a certificate's owner brings its key."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import export, passphrases

KEY_FORMS = [
    ("p12", _("PKCS#12, modern (AES-256)")),
    ("p12-compatible", _("PKCS#12, compatible (3DES): older phones, macOS and appliances")),
    ("mobileconfig", _("Apple profile (.mobileconfig) for iPhone, iPad and Mac")),
]


class BundleForm(forms.Form):
    """The key and its passphrases are never put back into the page."""

    data: Any

    key = forms.CharField(
        label=_("Private key"),
        required=False,
        strip=True,
        widget=forms.Textarea(
            attrs={
                "rows": 6,
                "class": "mono",
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN PRIVATE KEY-----",
            }
        ),
        help_text=_("Paste it with its BEGIN and END lines."),
    )
    key_file = forms.FileField(label=_("or choose its file"), required=False)
    key_passphrase = forms.CharField(
        label=_("The key's passphrase"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Only where the key is encrypted."),
    )
    form = forms.ChoiceField(label=_("Form"), choices=KEY_FORMS)
    passphrase = forms.CharField(
        label=_("New passphrase"),
        strip=False,
        max_length=passphrases.LONGEST,
        widget=forms.PasswordInput(
            attrs={"autocomplete": "new-password", "minlength": str(passphrases.SHORTEST)}
        ),
        help_text=_("At least 12 characters. The device asks for it when the file is opened."),
    )
    passphrase_again = forms.CharField(
        label=_("The new passphrase again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_key_file(self) -> bytes | None:
        file: UploadedFile | None = self.cleaned_data.get("key_file")
        return file.read(export.MOST_KEY_BYTES + 1) if file else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["source"] = cleaned.get("key_file") or cleaned.get("key") or ""
        first, second = cleaned.get("passphrase"), cleaned.get("passphrase_again")
        if first and second and passphrases.normal(first) != passphrases.normal(second):
            self.add_error("passphrase_again", _("The two passphrases differ. Type them again."))
        return cleaned

    def without_secrets(self) -> BundleForm:
        """The form for the page that refuses: what was typed as a key is not sent back."""
        kept = self.data.copy()
        for field in ("key", "key_passphrase", "passphrase", "passphrase_again"):
            kept.pop(field, None)
        self.data = kept
        return self
