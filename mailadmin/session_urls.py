"""Addresses below /session/: the part of django-allauth that this console uses.

Nobody signs up by himself, and a forgotten password is mended on the server
(`manage.py restore_access`), not by mail: those addresses of allauth, and its pages about email
addresses, exist only as names, because its code reverses them, and answer 404.
"""

from allauth.account import views as account
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path


@login_not_required
def closed(request: HttpRequest, **arguments: str) -> HttpResponse:
    raise Http404


urlpatterns = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
    path("2fa/", include("allauth.mfa.urls")),
    path("sessions/", include("allauth.usersessions.urls")),
    path("closed/signup/", closed, name="account_signup"),
    path("closed/email/", closed, name="account_email"),
    path("closed/email/sent/", closed, name="account_email_verification_sent"),
    path("closed/email/<str:key>/", closed, name="account_confirm_email"),
    path("closed/password/", closed, name="account_set_password"),
    path("closed/reset/", closed, name="account_reset_password"),
    path("closed/reset/done/", closed, name="account_reset_password_done"),
    path("closed/code/", closed, name="account_confirm_login_code"),
]
