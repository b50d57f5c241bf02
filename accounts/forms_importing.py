"""The form that takes a file of accounts."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from accounts import reading
from accounts.addresses import Reason
from accounts.sentences import say


class ImportForm(forms.Form):
    file = forms.FileField(
        label=_("File with the accounts"),
        required=False,
        help_text=_("CSV with the columns' names in the first line. At most 100 MB."),
    )
    text = forms.CharField(
        label=_("or paste it"),
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 6,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "address,password_hash,display_name,quota_mb",
            }
        ),
    )
    make_domains = forms.BooleanField(label=_("Add domains that are missing"), required=False)
    update_existing = forms.BooleanField(
        label=_("Change accounts that are there already, where the file says otherwise"),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is not text is told by the reader, with its line.
        field = self.fields["text"]
        field.validators = []

    def clean_file(self) -> UploadedFile | None:
        file: UploadedFile | None = self.cleaned_data.get("file")
        if file is not None and (file.size or 0) > reading.MOST_BYTES:
            most = reading.MOST_BYTES // 1024 // 1024
            raise forms.ValidationError(say(Reason("csv_big", {"most": most})))
        return file

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("file") and not cleaned.get("text", "").strip():
            self.add_error("file", _("Choose a file, or paste its lines."))
        return cleaned

    def content(self) -> tuple[BinaryIO, str]:
        """What was given, and its name."""
        file = self.cleaned_data.get("file")
        if file:
            return file, file.name or ""
        return io.BytesIO(self.cleaned_data["text"].encode("utf-8", "replace")), ""
