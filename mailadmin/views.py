"""Pages that belong to no single app: overview, first run, setup link, activity, errors."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def overview(request: HttpRequest) -> HttpResponse:
    return render(request, "mailadmin/overview.html")


def welcome(request: HttpRequest) -> HttpResponse:
    return render(request, "mailadmin/overview.html")


def activity(request: HttpRequest) -> HttpResponse:
    return render(request, "mailadmin/overview.html")


@login_not_required
def setup(request: HttpRequest, secret: str) -> HttpResponse:
    return render(request, "mailadmin/overview.html")


@login_not_required
def language(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=500)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return HttpResponse(status=403)
