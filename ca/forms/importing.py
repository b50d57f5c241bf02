"""The forms that take over an authority made by hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ca import importing, passphrases
from ca.forms.authorities import NEW_PASSPHRASE, OWN_PASSPHRASE, public_address
from ca.legacy import files as legacy_files

KEY_ENDINGS = ".key,.pem,.der,.p8"
CERTIFICATE_ENDINGS = ".crt,.cer,.pem,.der"


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Any number of files: `[(name, bytes), …]`."""

    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[tuple[str, bytes]]:
        given = data if isinstance(data, list | tuple) else [data] if data else []
        files: list[UploadedFile] = [super(ManyFilesField, self).clean(each) for each in given]
        room = importing.MOST_BYTES
        read = []
        for file in files:
            # One byte more than there is room for: the verb says that it is too much.
            content = file.read(room + 1)
            room = max(0, room - len(content))
            read.append((file.name or "", content))
        return read


def _read(file: UploadedFile | None, most: int) -> bytes:
    return file.read(most + 1) if file else b""


class LookForm(forms.Form):
    """What is public of an authority: enough to say what an import would bring."""

    certificate = forms.FileField(
        label=_("Certificate of the root"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": CERTIFICATE_ENDINGS}),
        help_text=_("The file that devices have installed, such as myrootca.crt."),
    )
    issued = ManyFilesField(
        label=_("Certificates it has signed"),
        required=False,
        help_text=_(
            "Choose all of them at once, or one file with many, or the whole folder packed as .zip "
            "or .tar.gz. With an index.txt among them, what was revoked stays revoked. Keys of "
            "hosts are passed over."
        ),
    )
    serial = forms.FileField(
        label=_("Serial file"),
        required=False,
        help_text=_("The small file “serial”, or one that ends in .srl, if there is one."),
    )

    def public(self) -> dict[str, Any]:
        """The arguments of `importing.look`."""
        return {
            "certificate": _read(
                self.cleaned_data.get("certificate"), legacy_files.MOST_CERTIFICATE_BYTES
            ),
            "serial": _read(self.cleaned_data.get("serial"), 1024) or None,
            "issued": self.cleaned_data.get("issued") or [],
        }


class KeyFields(forms.Form):
    """The key with its passphrase, and the passphrase it is kept under."""

    key = forms.FileField(
        label=_("Private key of the root"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": KEY_ENDINGS}),
        help_text=_(
            "Such as myrootca.key. It goes sealed to the signer, and is stored nowhere but under "
            "a passphrase."
        ),
    )
    passphrase = forms.CharField(
        label=_("Its passphrase"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs=OWN_PASSPHRASE),
        help_text=_("The one that the openssl command asks for. Empty for a key that has none."),
    )
    new_passphrase = forms.CharField(
        label=_("A new passphrase"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs=NEW_PASSPHRASE | {"minlength": str(passphrases.SHORTEST)}),
        help_text=_(
            "Leave it empty to go on with the old one, if that has at least 12 characters. The new "
            "one is for the console; your file keeps its own."
        ),
    )
    new_passphrase_again = forms.CharField(
        label=_("The new passphrase again"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs=NEW_PASSPHRASE),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("new_passphrase", "") != cleaned.get("new_passphrase_again", ""):
            self.add_error("new_passphrase_again", _("The two passphrases differ."))
        return cleaned

    def secret(self) -> dict[str, Any]:
        """The arguments of `importing.try_again`."""
        return {
            "key": _read(self.cleaned_data.get("key"), legacy_files.MOST_KEY_BYTES),
            "passphrase": self.cleaned_data.get("passphrase", ""),
            "new_passphrase": self.cleaned_data.get("new_passphrase") or None,
        }


class ImportForm(KeyFields, LookForm):
    """A whole authority."""

    name = forms.CharField(
        label=_("Name"),
        max_length=importing.LONGEST_NAME,
        help_text=_("What the console calls it. Its certificate keeps its own name."),
    )
    origin = public_address(
        _(
            "Where clients can fetch revocation lists from this console, without signing in. It is "
            "burnt into what the root signs from now on. Leave it empty if clients cannot reach "
            "the console."
        )
    )
