"""The verbs of a certificate's way from a request to a signed certificate.

    order = request(profile="host", names=["mail1.example.test"], issuer=issuer, by=me, at=now)
    order.state                                   # "awaiting_csr": the key is made on the host
    submit_csr(order=order, csr_pem=pem, by=me, at=now)   # → "signing", the signer is nudged
    order.refresh_from_db(); order.state          # "issued": order.certificate; or "refused"
    confirm_served(certificate=new, where="mail1.example.test", by=None, at=now)
    supersede(old=old, new=new, by=None, at=now)

Each verb raises a `core.errors.Refusal` (an exception with `.sentence`), and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca.models import Certificate, Issuer, Order
    from core.models import Operator


def request(
    *,
    profile: str,
    names: Sequence[str],
    issuer: Issuer,
    csr_pem: str | None = None,
    days: int | None = None,
    subject: Mapping[str, str] | None = None,
    by: Operator | None,
    at: datetime,
) -> Order:
    """Ask for a certificate. Without a CSR the order waits in "awaiting_csr" for `submit_csr`."""
    raise NotImplementedError


def submit_csr(
    *,
    order: Order,
    csr_pem: str,
    key_id: str | None = None,
    by: Operator | None,
    at: datetime,
) -> Order:
    """Hand in the CSR an order waits for; the signer is nudged.

    `key_id`: the first 32 hex digits (or all) of SHA-256 of the SPKI that must be in the CSR.
    """
    raise NotImplementedError


def refuse(
    *,
    order: Order,
    code: str,
    detail: Mapping[str, str] | None = None,
    by: Operator | None,
    at: datetime,
) -> Order:
    """End an order that cannot be fulfilled; `order.reason` is the sentence for the operator."""
    raise NotImplementedError


def sign(*, order: Order, at: datetime) -> Certificate | None:
    """Prepare, lint, sign and store. Only in the signer, on an order it has claimed."""
    raise NotImplementedError


def confirm_served(
    *, certificate: Certificate, where: str, by: Operator | None, at: datetime
) -> None:
    """Record that a daemon was seen serving exactly this certificate (`where`: a host's name)."""
    raise NotImplementedError


def supersede(*, old: Certificate, new: Certificate, by: Operator | None, at: datetime) -> None:
    """`new` is confirmed as served in place of `old`: valid → superseded."""
    raise NotImplementedError
