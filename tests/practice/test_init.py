"""The resolver of a practice host (RFC 1035): every name has an answer, at once."""

import socket
import struct

import pytest

from deploy.practice.init import answer

NAMES = ("mail1.example.test", "192.0.2.6", "192.0.2.5", "192.0.2.129")
A, MX, PTR, AAAA = 1, 15, 12, 28


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)


def ask(name: str, kind: int = A) -> tuple[int, bytes]:
    """(RCODE, RDATA or nothing)"""
    asked = query(name, kind)
    reply = answer(asked, *NAMES)
    number, flags, questions, answers, _, _ = struct.unpack("!HHHHHH", reply[:12])
    assert (number, questions) == (0x1234, 1)
    assert flags & 0x8000
    assert reply[12 : len(asked)] == asked[12:]
    return flags & 15, reply[len(asked) + 12 :] if answers else b""


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("mail1.example.test", "192.0.2.6"),
        ("MAIL1.Example.Test", "192.0.2.6"),
        ("console.practice.example", "192.0.2.5"),
        ("customer.example.com", "192.0.2.129"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_addresses(name, address):
    assert ask(name) == (0, socket.inet_aton(address))


@pytest.mark.parametrize("kind", [MX, AAAA, 16])
def test_other_kinds_are_empty_and_not_an_error(kind):
    assert ask("customer.example.com", kind) == (0, b"")


@pytest.mark.parametrize("name", ["nowhere.invalid", "invalid", "6.2.0.192.zen.example.org"])
def test_what_does_not_exist(name):
    assert ask(name) == (3, b"")


def test_reverse_names():
    assert ask("129.2.0.192.in-addr.arpa", PTR) == (0, b"\x09elsewhere\x07example\x00")
    assert ask("6.2.0.192.in-addr.arpa", PTR) == (0, b"\x05mail1\x07example\x04test\x00")
    assert ask("1.1.168.192.in-addr.arpa", PTR) == (3, b"")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"x" * 11,
        query("a.example", A)[:-3],
        query("a.example", A)[:12] + b"\xc0\x0c\x00\x01\x00\x01",
        query("a.example", A)[:2] + b"\x81\x80" + query("a.example", A)[4:],
        query("a.example", A)[:12] + b"\x3f" + b"a" * 8,
    ],
)
def test_what_is_no_query_gets_no_answer(broken):
    assert answer(broken, *NAMES) == b""
