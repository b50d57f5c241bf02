"""Addresses below /settings/."""

from django.urls import path

from mailadmin import views

urlpatterns = [
    path("", views.overview, name="settings"),
]
