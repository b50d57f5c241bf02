"""Parts of other apps' pages that deploy knows: the change bar, and whether an account is live.

htmx asks for them; the answer is never cached.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.models import Change, Mailbox
from core.access import requires
from deploy import changes, sentences
from deploy.models import AccountPush


@never_cache
@require_GET
@requires("deploy.view")
def change_bar(request: HttpRequest) -> HttpResponse:
    """Empty when everything is live."""
    found = changes.pending()
    pending = [each for each in found if not each.busy]
    busy = [each.busy for each in found if each.busy and not each.is_planned]
    context = {
        "pending": pending,
        "one": pending[0] if len(pending) == 1 else None,
        "count": sum(each.count for each in pending),
        "busy": busy[0] if busy else None,
        "many": len(busy),
        "planned": next((each.busy for each in found if each.is_planned), None),
    }
    return render(request, "deploy/_change_bar.html", context)


@never_cache
@require_GET
@requires("accounts.view")
def account_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Whether the host of the account's domain has reached the account's last change. Which host
    that is, and what is wrong with it, is for those who may see hosts."""
    rows = Mailbox.objects.visible_to(request.user).select_related("domain")
    mailbox = get_object_or_404(rows, pk=pk)
    host = mailbox.domain.host
    push = (
        AccountPush.objects.filter(host__uuid=host).select_related("host").first() if host else None
    )
    wanted = 0
    if push:
        wanted = max(
            Change.objects.latest_id_for(host, mailbox.address),
            Change.objects.latest_id_for(host, mailbox.domain.name),
        )
    context = {
        "mailbox": mailbox,
        "push": push,
        "is_live": bool(push and push.state != AccountPush.IDLE and push.through_change >= wanted),
        "is_waiting": bool(
            push
            and push.state not in (AccountPush.IDLE, *AccountPush.STOPPED)
            and push.through_change < wanted
        ),
        "problem": sentences.problem(push.problem, push.problem_detail) if push else "",
        "now": timezone.now(),
    }
    return render(request, "deploy/_account_live.html", context)
