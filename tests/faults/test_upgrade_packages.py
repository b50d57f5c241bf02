"""Debian's packages upgraded under the console: its links stay, or their loss is seen and mended.

There is no network in a practice host, and none is needed: a package that is installed is packed
again as the next version of itself, and `dpkg` upgrades to it with the maintainer's own scripts.
"""

import subprocess
from collections.abc import Iterator

import pytest

from deploy.hostctl import build
from deploy.practice import Machine
from tests.faults.consoles import Console, console_of
from tests.live.conftest import started

UPGRADE = r"""
set -eu
package="$1" new="/root/$1"
rm -rf "$new"
mkdir -p "$new/DEBIAN"
while read -r path; do
    if [ -d "$path" ]; then mkdir -p "$new$path"
    elif [ -e "$path" ] || [ -L "$path" ]; then cp -a --parents "$path" "$new"; fi
done < <(dpkg -L "$package" | grep '^/[^.]')
for script in preinst postinst prerm postrm config templates conffiles triggers; do
    for found in "/var/lib/dpkg/info/$package.$script" "/var/lib/dpkg/info/$package:"*".$script"; do
        [ ! -e "$found" ] || cp -p "$found" "$new/DEBIAN/$script"
    done
done
# Its configuration as shipped is another one, as in a new release.
for shipped in "$new/usr/share/dovecot/dovecot.conf" "$new/usr/share/sendmail/cf/cf/debproto.mc"; do
    [ ! -e "$shipped" ] || echo "# of the next release" >>"$shipped"
done
dpkg-query -s "$package" | sed -e '/^Status:/d' -e '/^Conffiles:/,/^[A-Z]/{/^Conffiles:/d;/^ /d}' \
    -e 's/^Version: .*/&+next/' >"$new/DEBIAN/control"
dpkg-deb -Znone -b "$new" "$new.deb"
DEBIAN_FRONTEND=noninteractive dpkg --force-depends --force-confold -i "$new.deb"
"""
LINKS = (
    ("/etc/mail/sendmail.cf", "/var/lib/mailadmin/current/sendmail/sendmail.cf"),
    ("/etc/dovecot/dovecot.conf", "/var/lib/mailadmin/current/dovecot/dovecot.conf"),
    ("/etc/sasl2/Sendmail.conf", "/var/lib/mailadmin/current/sendmail/Sendmail.conf"),
)


@pytest.fixture(scope="module", params=["bookworm", pytest.param("trixie", marks=pytest.mark.soak)])
def console(
    request: pytest.FixtureRequest, can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    with (
        started(request.param) as machine,
        console_of(machine, tmp_path_factory.mktemp("console") / "data") as made,
    ):
        yield made


def run(machine: Machine, script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return machine.run(["bash", "-c", script, "bash", *words], timeout=300)


def upgrade(machine: Machine, *packages: str, variables: str = "") -> None:
    for package in packages:
        before = run(machine, f"dpkg-query -W -f '${{Version}}' {package}").stdout
        run(machine, variables + UPGRADE, package)
        after = run(machine, f"dpkg-query -W -f '${{Status}} ${{Version}}' {package}").stdout
        assert after == f"install ok installed {before}+next"


def linked(machine: Machine) -> None:
    for path, target in LINKS:
        assert run(machine, f"readlink {path}").stdout.strip() == target


def mended_by_one_click(console: Console) -> None:
    pk = console.ok("overwrite")
    console.ok("carry", pk)
    assert console.on_one_side(pk)["state"] == "confirmed"
    assert console.ok("look") == []
    linked(console.machine)


def test_an_upgrade_of_everything_leaves_the_links(console: Console) -> None:
    machine = console.machine
    upgrade(machine, "sendmail-base", "sendmail-cf", "sendmail-bin", "dovecot-core")
    linked(machine)
    assert console.ok("look") == []
    # Debian's scripts stop Sendmail, and nothing may start it in there.
    run(machine, "/usr/bin/python3 -I /usr/local/lib/mailadmin/hostctl recover")
    pk = console.ask()
    console.ok("carry", pk)
    assert console.on_one_side(pk)["state"] == "confirmed"


def test_the_tools_that_upgrades_run_leave_the_links(console: Console) -> None:
    machine = console.machine
    run(machine, "/usr/share/sendmail/update_sendmail")
    run(machine, "yes | sendmailconfig")
    for package in ("sendmail-base", "sendmail-bin", "dovecot-core"):
        run(machine, f"DEBIAN_FRONTEND=noninteractive dpkg-reconfigure {package}")
    linked(machine)
    assert console.ok("look") == []


def test_a_cf_that_was_built_over_the_link_is_seen_and_mended(console: Console) -> None:
    """Somebody took HANDS_OFF out, which is what keeps Debian's scripts away."""
    machine = console.machine
    assert hands_off(machine) == "Yes"
    run(machine, r"sed -i 's/^HANDS_OFF=.*/HANDS_OFF=\"No\";/' /etc/mail/sendmail.conf")
    upgrade(machine, "sendmail-bin")
    assert console.ok("look") == ["/etc/mail/sendmail.cf"]
    mended_by_one_click(console)


def hands_off(machine: Machine) -> str:
    lines = machine.path("/etc/mail/sendmail.conf").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("HANDS_OFF="))
    return found.partition("=")[2].strip(';"')


def test_a_maintainer_who_insists_on_his_dovecot_conf_is_seen_and_mended(console: Console) -> None:
    """With UCF_FORCE_CONFFNEW Debian 12 replaces the link; Debian 13 does not even then."""
    upgrade(console.machine, "dovecot-core", variables="export UCF_FORCE_CONFFNEW=1\n")
    if console.ok("look"):
        mended_by_one_click(console)
    linked(console.machine)


def test_the_uninstaller_gives_hands_off_back_after_all_this(console: Console) -> None:
    """Debian's scripts write the file anew, without anything that the installer could say in it."""
    machine = console.machine
    run(machine, r"sed -i 's/^HANDS_OFF=.*/HANDS_OFF=\"Yes\";/' /etc/mail/sendmail.conf")
    run(machine, "/usr/share/sendmail/update_sendmail")
    assert hands_off(machine) == "Yes"
    machine.run(["sh"], input=build.uninstaller(), timeout=120)
    assert hands_off(machine) == "No"
    for path, _target in LINKS:
        assert not machine.path(path).is_symlink()
