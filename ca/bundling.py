"""A certificate together with the key that its owner brings: made in memory, kept nowhere."""

from __future__ import annotations

from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from ca import export, packing, wording
from ca.models import Certificate
from core import audit
from core.errors import Refusal
from core.models import Operator


class NotBundled(Refusal):
    """`field` is the form's field it belongs to."""

    def __init__(self, code: str, *, field: str) -> None:
        super().__init__(wording.sentence(code, {}))
        self.code = code
        self.field = field


@sensitive_variables()
def bundle(
    *,
    certificate: Certificate,
    key: str | bytes,
    key_passphrase: str,
    passphrase: str,
    form: str,
    by: Operator | None,
    at: datetime,
) -> bytes:
    """The bytes of `form` (one of `export.KEY_FORMS`), the key under `passphrase`.

    `key` is PEM or DER; `key_passphrase` opens it where it is encrypted.
    """
    for code in packing.problems(passphrase, known=certificate.names):
        raise NotBundled(code, field="passphrase")
    try:
        opened = export.read_key(key, key_passphrase.encode())
        made = export.with_key(certificate, opened, passphrase.encode(), form)
    except export.BadKey as error:
        field = "key_passphrase" if error.code == "key_passphrase" else "key"
        raise NotBundled(error.code, field=field) from None
    audit.record(
        by=by,
        at=at,
        action="ca.certificate.bundled",
        subject=certificate.title,
        detail={"serial": certificate.serial, "form": form},
    )
    return made
