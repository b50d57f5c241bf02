"""A domain, a mailbox, and the moment it is."""

import datetime
from typing import Any

import pytest

AT = datetime.datetime(2026, 11, 24, 9, 0, tzinfo=datetime.UTC)
HOST = "7f1c2c9e-9f0e-4b53-9d55-0d7c0a3f5c11"
GOOD = "kapim4-tovuz7-relof2-dasik9"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The same hash with the least cost: what it costs is not what these tests are about."""
    from argon2 import PasswordHasher

    from accounts import hashing

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(
        hashing, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )


@pytest.fixture
def domain(owner: Any) -> Any:
    from accounts import domains

    return domains.create(name="example.test", host=HOST, by=owner, at=AT)


@pytest.fixture
def anna(domain: Any, owner: Any) -> Any:
    from accounts import lifecycle

    return lifecycle.create(
        domain=domain, local_part="anna", password=GOOD, display_name="Anna", by=owner, at=AT
    )
