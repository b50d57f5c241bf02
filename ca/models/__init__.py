"""Issuers, certificates, orders, ceremonies and revocation lists.

An issuer is a key with a name; its certificate is what its parent says about that key (a root says
it itself). An order is one wish for a certificate. A ceremony is one use of a root's
passphrase: it makes a root with its issuing authority, or an issuing authority under a root.
"""

from ca.models.batches import Batch, BatchPart
from ca.models.ceremonies import Ceremony
from ca.models.certificates import Certificate, CertificateQuerySet, search_text
from ca.models.copies import ProfileCopy
from ca.models.imported import Imported
from ca.models.issuers import ALGORITHM_CHOICES, Issuer, IssuerQuerySet
from ca.models.lists import RevocationList
from ca.models.notices import Notice
from ca.models.orders import Order
from ca.models.parcels import Parcel
from ca.models.responders import Responder

__all__ = [
    "ALGORITHM_CHOICES",
    "Batch",
    "BatchPart",
    "Ceremony",
    "Certificate",
    "CertificateQuerySet",
    "Imported",
    "Issuer",
    "IssuerQuerySet",
    "Notice",
    "Order",
    "Parcel",
    "ProfileCopy",
    "Responder",
    "RevocationList",
    "search_text",
]
