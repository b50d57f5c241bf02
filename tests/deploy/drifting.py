"""A host on which somebody edited Dovecot's file: what the tests of drift have in common."""

from django.urls import reverse

from deploy import drift
from deploy.hostctl import paths
from deploy.models import Generation, Host
from tests.deploy.conftest import FACTS, current
from tests.deploy.test_pages import live

FOLDER = f"{paths.STATE}/generations/1"
CONF = f"{FOLDER}/dovecot/dovecot23.conf"
CF = "/etc/mail/sendmail.cf"
SERVICES = {name: {"running": True} for name in ("sendmail", "dovecot", "bridge")}


def deploy_first(host: Host, owner, now) -> None:
    """Generation 1 is live there; nothing was changed."""
    current(host)
    live(host, owner, now)
    Host.objects.filter(pk=host.pk).update(facts={**FACTS, "generation": 1, "services": SERVICES})
    host.refresh_from_db()


def text_of(host: Host, name: str) -> str:
    content = Generation.objects.live().get(host=host).bundle().files[name].decode()
    return content.replace("@GENERATION@", FOLDER)


def file(path: str, name: str, state: str = "changed", mark: str = "aa" * 32, **more: object):
    return {"path": path, "name": name, "state": state, "mark": mark, "target": "", **more}


def drifts(host: Host, *files, now, generation: int = 1) -> Host:
    """As if the host had just told of them."""
    marks = {each["path"]: each["mark"] for each in files}
    facts = {**host.facts, "drift": sorted(marks), "drift_marks": marks}
    Host.objects.filter(pk=host.pk).update(facts=facts, facts_at=now)
    drift.note(host, [{**each, "generation": generation} for each in files], at=now)
    host.refresh_from_db()
    return host


def edit(host: Host, now) -> Host:
    """Somebody edited dovecot.conf: a setting more, one different, one taken out."""
    text = text_of(host, "dovecot/dovecot23.conf")
    text = text.replace("auth_failure_delay = 2 secs", "auth_failure_delay = 4 secs")
    text = text.replace("syslog_facility = mail\n", "")
    text += f"mail_max_userip_connections = 20\nssl_dh = <{FOLDER}/tls/dh.pem\n"
    return drifts(host, file(CONF, "dovecot/dovecot23.conf", text=text), now=now)


def page(client, host: Host, name: str = "drift") -> str:
    response = client.get(reverse(f"deploy:{name}", args=[host.pk]))
    assert response.status_code == 200
    return str(response.content.decode())
