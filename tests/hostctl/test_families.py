"""Where the families of systems differ: the helper's table, and what a host says that it is."""

import pytest

from deploy.hostctl import facts, paths
from deploy.hostctl.services import Sendmail
from deploy.models import Host
from tests.hostctl.fakes import FakeHost


@pytest.mark.parametrize(
    ("release", "family", "version"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian", "8.18.1"),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', "debian", "8.18.1"),
        ("ID=fedora\nVERSION_ID=43\n", "fedora", "8.18.2"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora", "8.18.2"),
        ("", "debian", "8.18.1"),
    ],
)
def test_a_host_says_its_family(host: FakeHost, release: str, family: str, version: str) -> None:
    path = host.layout.at("/etc/os-release")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(release)
    assert host.layout.family == family
    assert facts.sendmail_version(host) == version
    pid_file = Sendmail(host.layout).pid_file()
    assert pid_file == host.layout.at(paths.FAMILIES[family].sendmail_pid)


def test_the_console_knows_the_same_families() -> None:
    assert set(paths.FAMILIES) == {family for family, _name in Host.FAMILIES}


def test_every_family_has_what_is_asked_of_it() -> None:
    for name, family in paths.FAMILIES.items():
        assert name in facts.ASK
        assert set(family.packages) == {"sendmail", "postfix", "dovecot"}
        for field, value in family._asdict().items():
            if field not in ("packages", "sendmail_user", "sendmail_group", "ca_file"):
                assert value, (name, field)
