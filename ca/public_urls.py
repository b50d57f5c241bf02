"""What everybody may fetch without a login: issuers' certificates, revocation lists, OCSP.

These addresses are burnt into certificates (RFC 5280 sections 4.2.1.13 and 4.2.2.1), so they stay.
`ca.early` answers them before the other middleware; here they have their names.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from ca.pages import ocsp as ocsp_views
from ca.pages import public as public_views

app_name = "pki"
urlpatterns = [
    path("<slug:public_id>.crt", login_not_required(public_views.issuer), name="issuer"),
    path("<slug:public_id>-delta.crl", login_not_required(public_views.delta_list), name="delta"),
    path("<slug:public_id>.crl", login_not_required(public_views.revocation_list), name="list"),
    path("<slug:public_id>/ocsp", login_not_required(ocsp_views.answer), name="ocsp"),
]
