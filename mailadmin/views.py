"""Pages for which nobody needs an account (setup link, language, health), and the error pages."""

from allauth.account.internal.flows.login import record_authentication
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template import loader
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from core import roles
from core import setup as one_time
from core.access import NotAllowed, address_of
from core.models import Operator
from core.signin import keep_language
from mailadmin.forms import RestoreForm, SetupForm

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
def setup(request: HttpRequest, secret: str) -> HttpResponse:
    """The one-time link: makes the first owner, or lets a new or locked-out operator in."""
    try:
        found = one_time.look_up(secret, at=timezone.now())
    except one_time.LinkRefused as refusal:
        return refused_link(request, refusal)
    operator = found.operator
    data = request.POST if request.method == "POST" else None
    form = RestoreForm(data, operator=operator) if operator else SetupForm(data)
    if form.is_valid():
        try:
            made = one_time.redeem(
                secret,
                username=form.cleaned_data.get("username", ""),
                email=form.cleaned_data.get("email", ""),
                password=form.cleaned_data["password"],
                at=timezone.now(),
                address=address_of(request),
            )
        except one_time.LinkRefused as refusal:
            return refused_link(request, refusal)
        sign_in(request, made)
        return redirect("mfa_index" if operator else "welcome")
    status = 422 if form.is_bound else 200
    context = {
        "form": form,
        "operator": operator,
        "is_new": operator is not None and operator.last_login is None,
    }
    return render(request, "mailadmin/setup.html", context, status=status)


def refused_link(request: HttpRequest, refusal: one_time.LinkRefused) -> HttpResponse:
    context = {"sentence": refusal.sentence}
    return render(request, "mailadmin/setup_refused.html", context, status=refusal.status)


def sign_in(request: HttpRequest, operator: Operator) -> None:
    """Sign in who just set a password, and let allauth know of that proof."""
    login(request, operator, backend=BACKEND)
    # allauth hears of its own logins only; a session it does not know could not be ended.
    UserSession.objects.create_from_request(request)
    record_authentication(request, operator, method="password", reauthenticated=True)


@login_not_required
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Switch the language: a cookie for this browser, and the operator's own choice."""
    chosen = request.POST.get("language", "")
    following = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(following, allowed_hosts={request.get_host()}):
        following = "/"
    response = HttpResponseRedirect(following)
    if translation.check_for_language(chosen) and chosen in dict(settings.LANGUAGES):
        keep_language(response, chosen)
        if request.user.is_authenticated:
            Operator.objects.filter(pk=request.user.pk).update(language=chosen)
    return response


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """For load balancers and the supervisor: 200 when this process can answer from the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, "400.html", 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Says who can: `core.access.requires` raises with the permission that is missing."""
    who = roles.who_may(exception.permission) if isinstance(exception, NotAllowed) else []
    return error_page(request, "403.html", 403, who=[str(name) for name in who])


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, "404.html", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    return error_page(request, "500.html", 500)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(request, "403_csrf.html", 403)


def error_page(request: HttpRequest, template: str, status: int, **context: object) -> HttpResponse:
    """An error page must not fail in turn: without database or session it is one plain sentence."""
    context["home"] = reverse("overview")
    try:
        return HttpResponse(loader.render_to_string(template, context, request), status=status)
    except Exception:  # noqa: BLE001 - anything may be what broke
        return HttpResponse(f"Error {status}\n", status=status, content_type="text/plain")
