"""Addresses. Each app's own are in its `urls.py`; signing in is django-allauth's."""

from django.urls import include, path

from mailadmin import views, views_activity, views_home
from mailadmin.api import api

urlpatterns = [
    path("", views_home.home, name="overview"),
    path("healthz", views.healthz, name="healthz"),
    path("setup/<str:secret>/", views.setup, name="setup"),
    path("welcome/", views_home.welcome, name="welcome"),
    path("welcome/look/", views_home.look_here, name="look"),
    path("activity/", views_activity.activity, name="activity"),
    path("settings/", include("mailadmin.settings_urls")),
    path("certificates/", include("ca.urls")),
    path("pki/", include("ca.public_urls")),
    path("trust/", include("ca.trust_urls")),
    path("accounts/", include("accounts.urls")),
    path("hosts/", include("deploy.urls")),
    path("session/", include("mailadmin.session_urls")),
    path("language/", views.language, name="language"),
    path("api/v1/", api.urls),
]

handler400 = "mailadmin.views.bad_request"
handler403 = "mailadmin.views.forbidden"
handler404 = "mailadmin.views.not_found"
handler500 = "mailadmin.views.server_error"
