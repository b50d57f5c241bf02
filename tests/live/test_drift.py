"""A real host's files edited by hand: shown, taken over and read by the daemon ever after, or
overwritten."""

from collections.abc import Iterator

import pytest
from django.urls import reverse

from deploy import comparing, drift, enrolment, rollout, turns
from deploy.carriage import Tools
from deploy.models import HostRollout
from tests.live.rollouts import Console, log_of, now
from tests.live.test_rollout import Meddling, change_something, console, live  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def folder(console: Console) -> str:  # noqa: F811
    live_one = rollout.live_generation(console.host)
    assert live_one is not None
    return f"/var/lib/mailadmin/generations/{live_one.number}"


def looked(console: Console) -> dict[str, comparing.Shown]:  # noqa: F811
    """What the worker brings when somebody opens the page, by the file's name."""
    job = enrolment.ask_check(host=console.host, by=console.owner, at=now())
    assert job is not None
    turns.run(job.pk)
    job.refresh_from_db()
    assert job.state == job.DONE, job.problem_detail
    console.host.refresh_from_db()
    return {
        shown.row.path: shown
        for shown in comparing.shown(console.host, rollout.live_generation(console.host))
    }


def read_by_dovecot(console: Console, name: str) -> list[str]:  # noqa: F811
    said = console.machine.run(["doveconf", "-h", name])
    return str(said.stdout).split()


def edit(console: Console, script: str) -> None:  # noqa: F811
    console.machine.run(["sh", "-ec", script])


@pytest.fixture
def edited(live: Console) -> Iterator[Console]:  # noqa: F811
    """A setting more, one in a section, and Debian's way with a link."""
    edit(
        live,
        "conf=$(readlink -f /etc/dovecot/dovecot.conf);"
        r"sed -i '/^service imap-login/,/^}/s/process_min_avail = .*/process_min_avail = 3/' $conf;"
        "echo 'mail_max_userip_connections = 17' >> $conf;"
        "cp --remove-destination $(readlink -f /etc/mail/sendmail.cf) /etc/mail/sendmail.cf;"
        "echo '# by a package' >> /etc/mail/sendmail.cf;"
        f"echo '# by hand' >> {folder(live)}/sendmail/sendmail.cf",
    )
    yield live


def test_taken_over_it_survives_every_rollout(edited: Console, signed_in) -> None:
    shown = looked(edited)
    conf = next(path for path in shown if "/dovecot/dovecot2" in path)
    made = f"{folder(edited)}/sendmail/sendmail.cf"
    assert set(shown) == {conf, made, "/etc/mail/sendmail.cf"}
    assert "+mail_max_userip_connections = 17" in shown[conf].diff
    assert "+  process_min_avail = 3" in shown[conf].diff
    assert shown[made].diff.splitlines()[-1] == "+# by hand", "the deployed one was made again"
    assert shown["/etc/mail/sendmail.cf"].row.state == "replaced"
    assert "+# by a package" in shown["/etc/mail/sendmail.cf"].diff
    page = signed_in.get(reverse("deploy:drift", args=[edited.host.pk])).content.decode()
    assert "+mail_max_userip_connections = 17" in page

    with pytest.raises(rollout.Drifted):
        edited.ask()
    mark = edited.host.reported().drift_mark
    own = comparing.proposed(shown.values(), edited.host)
    drift.take_over(
        host=edited.host,
        mark=mark,
        texts={name: own[name] for name in ("snippet_sendmail", "snippet_dovecot")},
        by=edited.owner,
        at=now(),
    )
    row = edited.put_live(overwrite=[mark])
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    assert edited.host.reported().drift == (), "the links are the console's again"

    change_something(edited)
    row = edited.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert read_by_dovecot(edited, "mail_max_userip_connections") == ["17"]
    assert "process_min_avail = 3" in edited.machine.run(["doveconf", "-n"]).stdout


def test_overwritten_it_is_gone_and_nothing_unseen_goes(live: Console) -> None:  # noqa: F811
    edit(
        live, "echo 'mail_max_userip_connections = 17' >> /etc/dovecot/dovecot.conf; doveadm reload"
    )
    assert looked(live)
    mark = live.host.reported().drift_mark
    meddling = Meddling("stage", lambda: edit(live, "echo '# more' >> /etc/dovecot/dovecot.conf"))
    row = live.put_live(Tools(transport=meddling), overwrite=[mark])
    assert (row.state, row.problem) == (HostRollout.REFUSED, "drifted"), log_of(row)
    assert read_by_dovecot(live, "mail_max_userip_connections") == ["17"], "nothing was touched"

    assert live.host.reported().drift_mark not in ("", mark), "what it is now is known at once"
    row = live.put_live(overwrite=[live.host.reported().drift_mark])
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert row.receipt["services"] == {"dovecot": "reloaded"}, "though the bundles are the same"
    assert read_by_dovecot(live, "mail_max_userip_connections") == ["50"]
    assert looked(live) == {}
