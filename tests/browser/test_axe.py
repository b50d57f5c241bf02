"""Every page, in four dressings: no accessibility violation, no script error, no breach of the
content security policy, no sideways scrolling. With MAILADMIN_SCREENSHOTS=folder, pictures too.
"""

import os
from pathlib import Path

import pytest

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
DRESSINGS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 360, "height": 740},
    "zh": {"language": "zh-hant"},
}
SIGNED_OUT = ["/session/login/", "/no-such-page/", "/setup/unknown-link/"]
SIGNED_IN = [
    "/",
    "/welcome/",
    "/welcome/look/",
    "/activity/",
    "/settings/",
    "/settings/tokens/",
    "/session/2fa/",
    "/session/2fa/totp/activate/",
    "/session/2fa/webauthn/",
    "/session/2fa/webauthn/add/",
    "/session/2fa/recovery-codes/generate/",
    "/session/sessions/",
    "/session/password/change/",
    "/session/logout/",
    "/certificates/",
    "/accounts/",
    "/hosts/",
]


@pytest.fixture(params=DRESSINGS)
def dressing(request):  # type: ignore[no-untyped-def]
    return request.param


def examine(page, watch, name: str) -> list[str]:  # type: ignore[no-untyped-def]
    page.wait_for_load_state("networkidle")
    folder = os.environ.get("MAILADMIN_SCREENSHOTS")
    if folder:
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(path), full_page=True)
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    problems = [
        f"{name}: {v['id']}: {v['help']} — {[n['html'][:160] for n in v['nodes'][:3]]}"
        for v in found["violations"]
    ]
    wide = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    if wide > 0:
        problems.append(f"{name} scrolls sideways by {wide} px")
    problems += [f"{name}: {problem}" for problem in watch.problems]
    watch.problems.clear()
    return problems


def as_name(path: str) -> str:
    return path.strip("/").replace("/", "-") or "overview"


def open_in(browse, live_server, dressing: str):  # type: ignore[no-untyped-def]
    page = browse(**DRESSINGS[dressing])
    return page, live_server.url.replace("127.0.0.1", "localhost")


def test_signed_out_pages(browse, live_server, watch, dressing, transactional_db):
    page, base = open_in(browse, live_server, dressing)
    problems = []
    for path in SIGNED_OUT:
        page.goto(base + path)
        # The browser logs the status of an error page as a console error.
        watch.problems[:] = [p for p in watch.problems if "status of 4" not in p]
        problems += examine(page, watch, f"{dressing}/out-{as_name(path)}")
    assert not problems, "\n".join(problems)


def test_signed_in_pages(browse, live_server, watch, dressing, sign_in, world):
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    problems = []
    for path in SIGNED_IN + world.paths():
        answer = page.goto(base + path)
        if answer.status != 200:
            problems.append(f"{path} answers {answer.status}")
        problems += examine(page, watch, f"{dressing}/{as_name(path)}")
    assert not problems, "\n".join(problems)


def test_the_policy_has_teeth(browse, live_server, watch, transactional_db):
    """An inline script would be reported: the other tests can fail."""
    page, base = open_in(browse, live_server, "light")
    page.goto(base + "/session/login/")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = '1';"
        " document.body.append(s); }"
    )
    page.wait_for_timeout(200)
    assert any("Content Security Policy" in problem for problem in watch.problems)
