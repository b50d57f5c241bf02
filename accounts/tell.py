"""The nudges to whoever brings changes to hosts. Named by text: accounts knows no app above it."""

from core.nudge import nudge

PUSH = "deploy.push_accounts"
PLACE = "deploy.place_domain"
ERASE = "deploy.erase_mail"


def tell_host(host: str) -> None:
    """After commit: this host (its uuid) has something to learn. A domain without one waits."""
    if host:
        nudge(PUSH, host)


def ask_for_host(domain: int) -> None:
    """After commit: this domain (its primary key) is on no host yet."""
    nudge(PLACE, domain)


def ask_to_erase(erasure: int) -> None:
    """After commit: this mail (an Erasure's primary key) is to be deleted from its host."""
    nudge(ERASE, erasure)
