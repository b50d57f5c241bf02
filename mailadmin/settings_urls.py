"""Addresses below /settings/."""

from django.urls import path

from mailadmin import views_operators, views_settings

urlpatterns = [
    path("", views_settings.profile, name="settings"),
    path("mail/", views_settings.mail, name="mail_settings"),
    path("operators/", views_operators.index, name="operators"),
    path("operators/add/", views_operators.add, name="operator_add"),
    path("operators/<int:pk>/", views_operators.edit, name="operator"),
    path("operators/<int:pk>/off/", views_operators.switch_off, name="operator_off"),
    path("operators/<int:pk>/on/", views_operators.switch_on, name="operator_on"),
    path("operators/<int:pk>/link/", views_operators.new_link, name="operator_link"),
    path("tokens/", views_settings.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views_settings.revoke, name="token_revoke"),
]
