"""The nudge to whoever brings changes to hosts. Named by text: accounts knows no app above it."""

from core.nudge import nudge

PUSH = "deploy.push_accounts"


def tell_host(host: str) -> None:
    """After commit: this host (its uuid) has something to learn. A domain without one waits."""
    if host:
        nudge(PUSH, host)
