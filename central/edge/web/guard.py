"""What a browser may do with our pages, and by which names it may ask for them."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

Answer = Callable[[HttpRequest], HttpResponse]

POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"


def content_policy(answer: Answer) -> Answer:
    """Nothing from elsewhere, nothing inline, in nobody's frame."""

    def guarded(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        response["Content-Security-Policy"] = POLICY
        response.setdefault("Cache-Control", "no-store")
        return response

    return guarded


def known_host(answer: Answer) -> Answer:
    """Addresses and our own names only: a foreign name that points here is a trick (DNS rebinding)."""

    def guarded(request: HttpRequest) -> HttpResponse:
        name = request.get_host().rpartition(":")[0] or request.get_host()
        return answer(request) if name in settings.OWN_NAMES or _is_address(name) else HttpResponseBadRequest()

    return guarded


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
