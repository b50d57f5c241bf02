"""How a host's daemons answered when they were probed last, and probing them now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from core.access import requires
from core.errors import Refusal
from deploy import probing, proof, sentences
from deploy.models import Host, HostRollout


@dataclass(frozen=True)
class Part:
    """A probe as the page shows it."""

    answer: probing.Answer
    what: str
    next: str

    @property
    def port(self) -> int:
        return self.answer.port

    @property
    def protocol(self) -> str:
        return self.answer.protocol

    @property
    def evidence(self) -> str:
        return sentences.shortened(self.answer.evidence, self.answer.fingerprint)

    @property
    def earlier(self) -> datetime | None:
        """When it was asked, of what is not asked each time."""
        return self.answer.at if self.answer.kind in proof.NEED_LOGIN else None


def parts_of(answers: Iterable[probing.Answer], mta: str) -> list[Part]:
    return [
        Part(
            answer=each,
            what=str(sentences.KINDS.get(each.kind, each.kind))
            if each.ok
            else sentences.probe_failure(each.kind, each.protocol, each.evidence),
            next=""
            if each.ok
            else sentences.after_probe_failure(each.protocol, each.evidence, mta),
        )
        for each in answers
    ]


def probing_context(host: Host, at: datetime) -> dict[str, Any]:
    row = probing.row_of(host)
    parts = parts_of(probing.answers(row), host.mta)
    passed = [part for part in parts if part.answer.ok]
    ends = probing.ends(row)
    return {
        "probing": row,
        "probes_wait": HostRollout.objects.under_way().filter(host=host).exists(),
        "probes_under_way": probing.is_under_way(row, at),
        "probes_failed": [part for part in parts if not part.answer.ok],
        "probes_passed": len(passed),
        "probes_by_port": sentences.by_port(passed),
        "served_until": ends,
        "served_ends_soon": ends is not None and ends - at < probing.SOON,
    }


@require_POST
@requires("deploy.rollout")
def probe(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    try:
        probing.wish(host=host, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("deploy:host", pk)
