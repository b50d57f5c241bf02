"""Sentences about keys on a token (PKCS#11). "key_unusable" stands with the requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: Mapping[str, Any] = {
    "token_none": _(
        "No token is set up. Name its library in MAILADMIN_PKCS11_MODULE and its label in "
        "MAILADMIN_PKCS11_TOKEN, put its PIN into keys/pkcs11.pin, and start the console again."
    ),
    "token_other": _(
        "This key is on the token “%(token)s”, but the console is set up for “%(configured)s”. "
        "Set MAILADMIN_PKCS11_TOKEN to the token that has the key, and start the console again."
    ),
    "token_module": _(
        "The token's library %(module)s cannot be used: %(why)s. Correct MAILADMIN_PKCS11_MODULE "
        "and start the console again."
    ),
    "token_missing": _(
        "The token “%(token)s” does not answer. See that it is plugged in, and that the signer's "
        "user may use it; then try again."
    ),
    "token_several": _(
        "Several tokens are called “%(token)s”. Leave only the right one plugged in, then try "
        "again."
    ),
    "token_away": _(
        "The token “%(token)s” does not answer (%(why)s). See that it is plugged in and working, "
        "then try again."
    ),
    "token_pin_missing": _(
        "There is no PIN for the token “%(token)s”. Put it into keys/pkcs11.pin in the data "
        "folder, and start the console again."
    ),
    "token_pin_wrong": _(
        "The token “%(token)s” does not take the PIN in keys/pkcs11.pin. It is not tried again, "
        "so that the token does not lock itself: correct the file, then start the console again."
    ),
    "token_pin_locked": _(
        "The PIN of the token “%(token)s” is locked or has expired. Set a new one with the "
        "token's own tools, put it into keys/pkcs11.pin, and start the console again."
    ),
    "token_key_gone": _(
        "The key is not on the token “%(token)s” any more. Restore the token from its backup; "
        "without it this authority cannot sign."
    ),
    "token_algorithm": _(
        "The token “%(token)s” cannot make this kind of key. Choose P-256, P-384 or RSA."
    ),
}
