"""Addresses. Each app's own are in its `urls.py`; signing in is django-allauth's."""

from django.urls import include, path

from mailadmin import views
from mailadmin.api import api

urlpatterns = [
    path("", views.overview, name="overview"),
    path("healthz", views.healthz, name="healthz"),
    path("setup/<str:secret>/", views.setup, name="setup"),
    path("welcome/", views.welcome, name="welcome"),
    path("activity/", views.activity, name="activity"),
    path("settings/", include("mailadmin.settings_urls")),
    path("certificates/", include("ca.urls")),
    path("pki/", include("ca.public_urls")),
    path("accounts/", include("accounts.urls")),
    path("hosts/", include("deploy.urls")),
    path("session/", include("allauth.urls")),
    path("language/", views.language, name="language"),
    path("api/v1/", api.urls),
]

handler400 = "mailadmin.views.bad_request"
handler403 = "mailadmin.views.forbidden"
handler404 = "mailadmin.views.not_found"
handler500 = "mailadmin.views.server_error"
