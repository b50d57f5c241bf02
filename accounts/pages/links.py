"""The page that shows an invitation's link, this once."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from accounts.models import Invitation, Mailbox


@sensitive_variables("secret")
def show(
    request: HttpRequest, mailbox: Mailbox, invitation: Invitation, secret: str
) -> HttpResponse:
    context = {"mailbox": mailbox, "invitation": invitation, "link": link(request, secret)}
    return render(request, "accounts/invited.html", context)


@sensitive_variables("secret")
def link(request: HttpRequest, secret: str) -> str:
    return request.build_absolute_uri(reverse("accounts:invitation", args=[secret]))
