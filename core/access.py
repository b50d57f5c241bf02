"""The door of every view: signed in, and allowed.

`LoginRequiredMiddleware` asks everyone to sign in; `requires` adds the permission and notes the
address an act came from, so that the audit event can name it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from core import roles

View = Callable[..., HttpResponseBase]


class NotAllowed(PermissionDenied):
    """Carries the permission, so that the 403 page can say who has it."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission)
        self.permission = permission


def address_of(request: HttpRequest) -> str:
    """The peer's address. A reverse proxy must set REMOTE_ADDR (gunicorn's `forwarded_allow_ips`):
    a header that anyone can send is not believed here."""
    return request.META.get("REMOTE_ADDR") or "local"


def requires(permission: str) -> Callable[[View], View]:
    """Decorate a view: its user must have `permission` (see `core.roles.PERMISSIONS`)."""
    if permission not in roles.PERMISSIONS:
        raise KeyError(permission)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not roles.may(request.user, permission):
                raise NotAllowed(permission)
            request.user.address = address_of(request)
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return decorate


class _Permissions:
    """`{% if may.ca_issue %}` in templates: underscores stand for the dot."""

    def __init__(self, operator: Any) -> None:
        self._operator = operator

    def __getitem__(self, name: str) -> bool:
        return roles.may(self._operator, name.replace("_", ".", 1))


def permissions(request: HttpRequest) -> dict[str, object]:
    """Context processor: `may`."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {"may": _Permissions(user)}
