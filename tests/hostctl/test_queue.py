"""The queue's files, as Sendmail and Postfix write them, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.hostctl import queue
from deploy.hostctl.queue import Message
from tests.hostctl.fakes import FakeHost

QF = b"""V8
T1795487030
K1795487718
N24
P2130272
I254/0/2180429
Mhost map: lookup (b.example.test): deferred
Fbs
$_client.example.test [192.0.2.3]
$rESMTPA
${daemon_flags}
${auth_authen}anna@example.test
S<test@example.test>
MDeferred: Connection refused by a.example.test.
rRFC822; one@a.example.test
RPFD:<One@A.Example.Test>
rRFC822; two@b.example.test
RPFD:<two@b.example.test>
H?P?Return-Path: <\x81g>
H??Received: from client (client.example.test [192.0.2.3])
\tby mail.example.test
RPFD:<not@a.recipient>
H??Subject: x
.
"""


def test_a_message_of_sendmails() -> None:
    assert queue.parse_qf("qf6AO2Nont025474", QF) == Message(
        id="6AO2Nont025474",
        arrived=1795487030,
        sender="test@example.test",
        recipients=("One@A.Example.Test", "two@b.example.test"),
        login="anna@example.test",
        held=None,
        tries=24,
        tried="host map: lookup (b.example.test): deferred",
    )


def test_domains_are_told_once_and_in_one_spelling() -> None:
    found = queue.parse_qf("qf1", QF)
    assert found is not None and found.domains == ("a.example.test", "b.example.test")
    assert Message("1", 0, "", ("root", "a@X.test.", "b@x.test")).domains == ("", "x.test")


def test_a_quarantined_message_says_why() -> None:
    held = queue.parse_qf("hf1", QF.replace(b"N24\n", b"N24\nqfor a reason: mine\n"))
    assert held is not None and held.held == "for a reason: mine"
    without = queue.parse_qf("hf1", QF)
    assert without is not None and without.held == ""


@pytest.mark.parametrize("data", [b"", b"V8\nT17", b"\n\n", b"V8\n.\n", b"\xff\xfe\x00"])
def test_what_is_no_message_is_none(data: bytes) -> None:
    assert queue.parse_qf("qf1", data) is None


def test_a_recipient_with_a_route_and_one_without_brackets() -> None:
    found = queue.parse_qf("qf1", b"Tx\nS<>\nRPFD:<@relay.test:a@b.test>\nR:local\n")
    assert found == Message("1", 0, "", ("a@b.test", "local"))


@pytest.mark.parametrize(
    ("cf", "folders"),
    [
        ("", ["/var/spool/mqueue"]),
        ("O QueueDirectory=/q/main*\n", ["/q/main*"]),
        ("O QueueDirectory=/q\nQslow, P=/q/slow, F=f, I=1h\nQfast,R=2,Path=/q/fast\n",
         ["/q", "/q/slow", "/q/fast"]),
    ],
)  # fmt: skip
def test_the_folders_that_a_cf_names(cf: str, folders: list[str]) -> None:
    assert queue.folders_of(cf) == folders


def put(host: FakeHost, name: str, data: bytes = QF, folder: str = "/var/spool/mqueue") -> Path:
    path = host.layout.at(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_queue_is_summed_up(host: FakeHost) -> None:
    put(host, "qf1")
    put(host, "hf2", QF.replace(b"T1795487030", b"T1795480000"))
    put(host, "df1")
    put(host, "tf3")
    put(host, "qf4").unlink()
    put(host, "qf5").unlink()
    host.layout.at("/var/spool/mqueue/qf5").symlink_to("/etc/shadow")
    assert host.ask("queue") == {
        "count": 2,
        "held": 1,
        "oldest": 1795480000,
        "domains": 2,
        "by_domain": [("a.example.test", 2), ("b.example.test", 2)],
    }


def test_an_empty_queue(host: FakeHost) -> None:
    assert host.ask("queue") == {
        "count": 0, "held": 0, "oldest": None, "domains": 0, "by_domain": [],
    }  # fmt: skip


def test_groups_and_folders_of_their_own_for_control_files(host: FakeHost) -> None:
    cf = host.layout.at("/etc/mail/sendmail.cf")
    cf.parent.mkdir(parents=True)
    cf.write_text("O QueueDirectory=/q/main*\nQslow, P=/q/slow\n")
    put(host, "qf1", folder="/q/main1/qf")
    put(host, "qf2", folder="/q/main2")
    put(host, "qf3", folder="/q/slow")
    put(host, "qf4", folder="/q/other")
    assert {each.id for each in queue.messages(host)} == {"1", "2", "3"}


def test_the_summary_is_bounded() -> None:
    many = (Message(str(n), n, "", (f"a@d{n}.test",)) for n in range(1000))
    found = queue.summary(many)
    assert (found["count"], found["domains"], len(found["by_domain"])) == (1000, 1000, 100)


def test_a_message_of_postfixs() -> None:
    line = (
        b'{"queue_name": "hold", "queue_id": "4cKk", "arrival_time": 1795487030, "message_size":'
        b' 300, "sender": "MAILER-DAEMON", "recipients": [{"address": "a@b.test"},'
        b' {"address": "c@d.test", "delay_reason": "connection refused"}]}'
    )
    assert queue.parse_postqueue(line) == Message(
        "4cKk", 1795487030, "", ("a@b.test", "c@d.test"), held="", tried="connection refused"
    )
    active = queue.parse_postqueue(line.replace(b'"hold"', b'"deferred"'))
    assert active is not None and active.held is None
    assert queue.parse_postqueue(b"not JSON") is None
    assert queue.parse_postqueue(b"[]") is None


REAL = Path(__file__).parents[3] / "shared/corpus/real-host"


@pytest.mark.skipif(not REAL.is_dir(), reason="the corpus is not beside the checkout")
def test_files_of_a_real_host() -> None:
    found = queue.parse_qf("qf6AO2Nont025474", (REAL / "qf6AO2Nont025474").read_bytes())
    assert found is not None and found.tries == 24
    assert found.domains == ("a.refused.test", "b.servfail.test")
    sample = queue.parse_qf("qf1", (REAL / "sample.qf").read_bytes())
    assert sample is not None and sample.sender == "test@example.test"
