"""The first middleware: what clients fetch while they check a certificate is answered here.

Those addresses are burnt into certificates (`Issuer.addresses`), so they are asked over plain
http, under whatever name the operator gave them, by clients without cookies: no session, no
redirect, no check of the host's name, no login, and one or two queries. Everything else goes on.

    /pki/<id>.crt          the issuer's certificate
    /pki/<id>.crl          its revocation list
    /pki/<id>-delta.crl    what changed since
    /pki/<id>/ocsp         whether one of its certificates still counts; with GET, /ocsp/<request>
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from ca.pages import ocsp as ocsp_views
from ca.pages import public as public_views

PREFIX = "/pki/"
_ADDRESS = re.compile(
    r"/pki/(?P<id>[0-9a-f]{16})(?P<what>\.crt|\.crl|-delta\.crl|/ocsp)(?:(?<=/ocsp)/(?P<rest>.*))?\Z",
    re.DOTALL,
)
_VIEWS: dict[str, Callable[..., HttpResponseBase]] = {
    ".crt": public_views.issuer,
    ".crl": public_views.revocation_list,
    "-delta.crl": public_views.delta_list,
}


class AnswerEarly:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        asked = _ADDRESS.match(path) if path.startswith(PREFIX) else None
        if asked is None:
            return self.get_response(request)
        if asked["what"] == "/ocsp":
            response = ocsp_views.answer(request, asked["id"], asked["rest"] or "")
        else:
            response = _VIEWS[asked["what"]](request, asked["id"])
        if isinstance(response, HttpResponse) and response.status_code != 304:
            response["Content-Length"] = str(len(response.content))
            if request.method == "HEAD":
                response.content = b""
        return response
