"""The certificate authority: issuers, orders, certificates, revocation lists."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CaConfig(AppConfig):
    name = "ca"
    verbose_name = _("Certificates")
