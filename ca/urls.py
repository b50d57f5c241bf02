"""Addresses of the certificates' pages."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "ca"
urlpatterns: list[URLPattern] = []
