"""Which addresses a practice host gets."""

import ipaddress
import os

import pytest

from deploy.practice import network
from deploy.practice.errors import PracticeError
from deploy.practice.network import Cable


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "LOCKS", tmp_path)
    monkeypatch.setattr(network, "machine_addresses", set)
    monkeypatch.setattr(Cable, "is_laid", False)
    held = []
    yield held
    for lock in held:
        os.close(lock)


def test_no_two_cables_share_an_address():
    cables = [Cable(index) for index in network.INDEXES]
    addresses = [a for c in cables for a in (c.console, c.host, c.foreign)]
    assert len(set(addresses)) == len(addresses)
    links = [ipaddress.ip_network(f"{c.console}/30", strict=False) for c in cables]
    assert not any(ipaddress.ip_address(c.foreign) in link for c in cables for link in links)


def test_each_index_is_given_once_until_its_lock_is_released(locks):
    first, lock = network.claim(7)
    locks.append(lock)
    assert first == Cable(7)
    second, other = network.claim(7)
    locks.append(other)
    assert second != first
    os.close(locks.pop(0))
    again, lock = network.claim(7)
    locks.append(lock)
    assert again == first


def test_the_machines_own_addresses_are_left_alone(locks, monkeypatch):
    mine = {ipaddress.IPv4Address("192.0.2.30"), ipaddress.IPv4Address("192.0.2.131")}
    monkeypatch.setattr(network, "machine_addresses", lambda: mine)
    for preferred in (7, 3):  # 192.0.2.28/30, and 192.0.2.131 would be its foreign address
        cable, lock = network.claim(preferred)
        locks.append(lock)
        assert cable.index not in (7, 3)


def test_a_cable_that_is_laid_is_someone_elses(locks, monkeypatch):
    monkeypatch.setattr(network, "_wait_until_gone", lambda cable: None)
    monkeypatch.setattr(Cable, "is_laid", property(lambda cable: cable.index != 11))
    cable, lock = network.claim(7)
    locks.append(lock)
    assert cable.index == 11


def test_when_all_are_taken_it_says_so(locks):
    for _ in network.INDEXES:
        locks.append(network.claim()[1])
    with pytest.raises(PracticeError, match="in use") as failure:
        network.claim()
    assert failure.value.code == "addresses"
