"""The first-run page's second door, from the click to a host that is ready: the job, the root
helper on its socket, a real Debian."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from deploy import practising, turns
from deploy.models import Host, HostJob
from deploy.practice import Machine

pytestmark = pytest.mark.django_db(transaction=True)


SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from deploy.practice import serve;"
    "serve(sys.argv[2] + '/run/local.sock', 0, sys.argv[2] + '/practice')"
)
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def data(settings, can_run_hosts):
    # A short path: a socket's may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="mailadmin-pr-"))
    (folder / "run").mkdir()
    settings.DATA_DIR = folder
    helper = subprocess.Popen([sys.executable, "-c", SERVE, ROOT, str(folder)])
    until = time.monotonic() + 20
    while not (folder / "run" / "local.sock").exists() and time.monotonic() < until:
        time.sleep(0.05)
    yield folder
    helper.terminate()
    helper.wait(30)
    for directory in (folder / "practice").glob("*/machine.json"):
        Machine(directory.parent).destroy()
    shutil.rmtree(folder, ignore_errors=True)


def test_one_click_makes_a_host_that_is_ready(data, owner, signed_in) -> None:
    assert practising.obstacle() == ""
    response = signed_in.post(
        "/hosts/practice/", {"fqdn": "mail7.example.test", "release": "trixie"}
    )
    assert response.status_code == 302
    job = HostJob.objects.get()
    page = signed_in.get("/hosts/practice/").content.decode()
    assert "progressbar" in page and "every 1s" in page
    turns.run(job.pk)
    job.refresh_from_db()
    assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
    host = Host.objects.get()
    assert (host.fqdn, host.state, host.practice) == ("mail7.example.test", Host.READY, True)
    assert host.reported().dovecot_branch == "2.4"
    assert host.host_key.startswith("ssh-ed25519 ")
    assert signed_in.get("/hosts/practice/").url == f"/hosts/{host.pk}/"
    assert host.mta == "sendmail"

    # Once more, as "check the connection" does: it is there, and nothing is made again.
    began = time.monotonic()
    again = practising.begin(by=owner, at=job.created_at)
    turns.run(again.pk)
    again.refresh_from_db()
    assert again.state == HostJob.DONE, (again.problem, again.problem_detail)
    assert time.monotonic() - began < 30
    assert Host.objects.count() == 1


def test_one_with_postfix(data, owner, signed_in) -> None:
    wish = {"fqdn": "mail7.example.test", "release": "bookworm-postfix"}
    assert signed_in.post("/hosts/practice/", wish).status_code == 302
    job = HostJob.objects.get()
    turns.run(job.pk)
    job.refresh_from_db()
    assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
    assert Host.objects.get().mta == "postfix"


def test_without_the_helper_the_page_says_why(settings, tmp_path, owner, signed_in) -> None:
    settings.DATA_DIR = tmp_path
    page = signed_in.get("/hosts/practice/").content.decode()
    assert "Practice hosts need root" in page
    assert "Add a server instead" in page
