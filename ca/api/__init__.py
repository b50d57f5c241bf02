"""`/api/v1`: certificates, orders and authorities.

Ask for a certificate with a request of your own, then look at the order until it ends:

    POST /certificates/orders   {"issuer": 2, "csr": "-----BEGIN CERTIFICATE REQUEST-----…"}
    GET  /certificates/orders/7           "state": "issued", "certificate": 12
    GET  /certificates/12/download/fullchain
    POST /certificates/batches  {"issuer": 2, "pem": "…"}        many at once
"""

from __future__ import annotations

from ninja import Router

from ca.api import authorities, batches, certificates, importing, orders, profiles, renewal

router = Router(tags=["certificates"])
for each in (importing, authorities, orders, batches, renewal, certificates, profiles):
    router.add_router("", each.router)
