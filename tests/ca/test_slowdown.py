"""A root's passphrase is not tried out: wrong ones wait longer and longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ca import authorities, slowdown
from ca.models import Ceremony
from core import leases
from tests.ca.conftest import PASSPHRASE
from tests.ca.levels import carried_out

pytestmark = pytest.mark.django_db
WRONG = "seven honest serving men"


def test_wrong_passphrases_are_slowed_down(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    now = now + timedelta(minutes=1)  # after the ceremony that made it

    def tried(phrase: str, at):  # type: ignore[no-untyped-def]
        ceremony = authorities.request_list(root=root, passphrase=phrase, by=owner, at=at)
        held = leases.claim(Ceremony.objects.due(at), ceremony.pk, worker="w", at=at)
        authorities.make(ceremony=held, at=at, clock=lambda: at)
        ceremony.refresh_from_db()
        return ceremony

    for second in range(3):
        assert tried(WRONG, now + timedelta(seconds=second)).reason_code == "wrong_passphrase"
    soon = now + timedelta(seconds=30)
    with pytest.raises(authorities.NotMade) as refused:
        tried(PASSPHRASE, soon)
    assert refused.value.code == "slowed_down" and root.name in refused.value.sentence
    assert f"{now + timedelta(seconds=62):%H:%M} UTC" in refused.value.sentence
    last = Ceremony.objects.latest("pk")
    with pytest.raises(authorities.NotMade) as refused:
        authorities.try_again(ceremony=last, passphrase=PASSPHRASE, by=owner, at=soon)
    assert refused.value.code == "slowed_down"
    assert Ceremony.objects.get(pk=last.pk).state == Ceremony.REFUSED

    later = now + timedelta(seconds=63)
    assert tried(WRONG, later).reason_code == "wrong_passphrase"
    with pytest.raises(authorities.NotMade):
        tried(PASSPHRASE, later + timedelta(seconds=90))
    good = later + timedelta(seconds=121)
    assert tried(PASSPHRASE, good).state == Ceremony.DONE
    assert tried(WRONG, good + timedelta(seconds=1)).reason_code == "wrong_passphrase"
    assert tried(PASSPHRASE, good + timedelta(seconds=2)).state == Ceremony.DONE, "counted anew"


def test_many_at_once_are_slowed_down_in_the_signer(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    Ceremony.objects.update(changed_at=now - timedelta(minutes=1))
    asked = [
        authorities.request_list(root=issuing.parent, passphrase=phrase, by=owner, at=now)
        for phrase in (WRONG, WRONG, WRONG, PASSPHRASE)
    ]
    assert [carried_out(each).reason_code for each in asked] == ["wrong_passphrase"] * 3 + [
        "slowed_down"
    ]
    assert asked[-1].state == Ceremony.REFUSED and not asked[-1].passphrase_sealed


def test_trying_again_does_not_forget(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = authorities.request_list(root=issuing.parent, passphrase=WRONG, by=owner, at=now)
    for _ in range(2):
        carried_out(ceremony)
        authorities.try_again(ceremony=ceremony, passphrase=WRONG, by=owner, at=now)
    carried_out(ceremony)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)
    assert refused.value.code == "slowed_down"


def test_the_wait_doubles(now) -> None:  # type: ignore[no-untyped-def]
    def minutes(*at: float):  # type: ignore[no-untyped-def]
        until = slowdown.blocked_until([now + timedelta(minutes=each) for each in at])
        return None if until is None else (until - now).total_seconds() / 60

    assert minutes() is None and minutes(0, 1) is None
    assert minutes(0, 1, 2) == 3
    assert minutes(2, 0, 1) == 3, "in any order"
    assert minutes(0, 1, 2, 4) == 6 and minutes(0, 1, 2, 4, 7) == 11
    assert minutes(0, 6, 12) is None, "three within ten minutes"
    assert minutes(0, 6, 12, 14) == 15
    assert minutes(*range(30)) == 29 + 60, "an hour is the longest"
    assert minutes(0, 1, 2, 2 + 24 * 60 + 1) is None, "a quiet day ends it"
