"""Addresses below /trust/: the page that gets a root onto devices. They are printed and phoned."""

from __future__ import annotations

from django.urls import path

from ca.pages import root as root_views

app_name = "trust"
urlpatterns = [
    path("", root_views.roots, name="roots"),
    path("<slug:public_id>/", root_views.root, name="root"),
    path("<slug:public_id>/root.<slug:ending>", root_views.download, name="file"),
]
