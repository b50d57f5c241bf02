"""Addresses below /settings/."""

from django.urls import path

from mailadmin import views_settings

urlpatterns = [
    path("", views_settings.profile, name="settings"),
    path("mail/", views_settings.mail, name="mail_settings"),
    path("tokens/", views_settings.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views_settings.revoke, name="token_revoke"),
]
