"""What the probes of a server found, in a real browser, in four dressings."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deploy import probing, proof
from deploy.models import Generation, Host, HostRollout, Probing
from deploy.probes.values import Result
from tests.browser.test_axe import DRESSINGS, as_name, examine, open_in

SERVED = "TLSv1.3 TLS_AES_256_GCM_SHA384, notAfter 2027-02-23, SHA-256 " + "ab" * 32
BAD = {
    ("tls", "imaps"): "another certificate is served: TLSv1.3 TLS_AES_256_GCM_SHA384, SHA-256 "
    + "ab" * 32,
    ("tls", "pop3s"): "[Errno 111] Connection refused",
    ("relay", "smtp"): "<> to <somebody@relay-probe.invalid>: 250 2.1.5 Recipient ok",
}


@pytest.fixture
def failing(world) -> Host:
    host = world.host
    live = Generation.objects.live().get(host=host)
    row = Probing.objects.create(host=host, asked_at=timezone.now())
    results = []
    for each in proof.questions(host, live):
        said = BAD.get((each.kind, each.protocol))
        served = each.kind in ("tls", "starttls") and said is None
        words = SERVED if served else "550 5.1.1 <no-such-ce7f91a00aa06807@mail1>... User unknown"
        end = timezone.now() + timedelta(days=9) if served else None
        results.append(
            Result(
                each.kind,
                each.protocol,
                each.port,
                said is None,
                said or words,
                fingerprint="ab" * 32 if served else "",
                not_after=end,
            )
        )
    probing.note(row, host, live, results, at=timezone.now())
    return host


@pytest.mark.parametrize("dressing", DRESSINGS)
def test_the_pages(browse, live_server, watch, sign_in, world, failing, dressing):
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    problems = []
    ours = f"/hosts/{failing.pk}/"
    receipt = f"/hosts/rollouts/{world.rollout.pk}/"
    for path in ("/", "/hosts/", receipt, f"{ours}plan/", "/settings/mail/", ours):
        page.goto(base + path)
        problems += examine(page, watch, f"probing-{dressing}/{as_name(path)}")
    page.locator("section[aria-labelledby=probes-title] details summary").click()
    problems += examine(page, watch, f"probing-{dressing}/passed")
    assert not problems, "\n".join(problems)


def test_probed_at_once(browse, live_server, watch, sign_in, failing):
    HostRollout.objects.open().filter(host=failing).update(state=HostRollout.REFUSED)
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    page.goto(f"{base}/hosts/{failing.pk}/")
    page.get_by_role("button", name="Probe now").click()
    page.get_by_text("Being probed").wait_for()
    live = Generation.objects.live().get(host=failing)
    row = Probing.objects.get(host=failing)
    row.wanted_at = None
    row.save()
    well = [
        Result(each.kind, each.protocol, each.port, True, "fine")
        for each in proof.questions(failing, live)
    ]
    probing.note(row, failing, live, well, at=timezone.now())
    page.get_by_text("All as it must be").wait_for()
    assert not watch.problems
