"""Authorities below authorities, made by the signer's task, for the tests of hierarchies."""

from __future__ import annotations

from ca import authorities, tasks
from ca.models import Ceremony
from ca.wishes import AuthorityWish, Wish


def carried_out(ceremony: Ceremony) -> Ceremony:
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


def authority(name: str, *permitted: str, levels: int | None = None, **more: object) -> Wish:
    part = AuthorityWish(name, "p256", 1000, organisation="Example", path_length=levels)
    return Wish(issuing=part, permitted=permitted or ("example.test",), **more)  # type: ignore[arg-type]


def below(under, owner, now, the_wish, passphrase="", **options):  # type: ignore[no-untyped-def]
    ceremony = carried_out(
        authorities.request_issuing(
            under=under, wish=the_wish, passphrase=passphrase, by=owner, at=now, **options
        )
    )
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    return ceremony.made
