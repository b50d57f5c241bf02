"""What everybody may fetch without a login: issuers and revocation lists."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
