"""Every page of hosts, as owner and as viewer, in both languages."""

import pytest
from django.urls import reverse

from deploy import enrolment, rollout
from deploy.models import AccountPush, Generation, Host, HostJob, HostRollout

pytestmark = pytest.mark.django_db


def live(host: Host, owner, now) -> Generation:
    """A first generation, as if it had been put live."""
    made = rollout.request(hosts=[host], by=owner, at=now)
    row = made.hosts.get()
    HostRollout.objects.filter(pk=row.pk).update(
        state=HostRollout.CONFIRMED, started_at=now, finished_at=now
    )
    Generation.objects.filter(pk=row.generation_id).update(state=Generation.LIVE, live_at=now)
    return Generation.objects.get(pk=row.generation_id)


PAGES = ["host", "settings", "certificate", "remove", "plan", "generations"]


@pytest.mark.parametrize("language", ["en", "zh-hant"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_of_a_host_answer(signed_in, certified, name, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    response = signed_in.get(reverse(f"deploy:{name}", args=[certified.pk]))
    assert response.status_code == 200, response.content
    assert certified.fqdn in response.content.decode()


@pytest.mark.parametrize("name", ["hosts", "add", "practice"])
def test_pages_without_a_host_answer(signed_in, name) -> None:
    assert signed_in.get(reverse(f"deploy:{name}")).status_code == 200


def test_the_plan_shows_each_file_and_what_will_be_proved(signed_in, certified) -> None:
    page = signed_in.get(reverse("deploy:plan", args=[certified.pk])).content.decode()
    assert "sendmail/sendmail.mc" in page
    assert "dovecot/dovecot23.conf" in page
    assert "Relaying for strangers is refused" in page
    assert "Put live" in page


def test_putting_live_shows_the_rollout(signed_in, certified) -> None:
    response = signed_in.post(reverse("deploy:put_live", args=[certified.pk]))
    row = HostRollout.objects.get()
    assert response.url == reverse("deploy:rollout", args=[row.rollout_id])
    page = signed_in.get(response.url).content.decode()
    assert "every 500ms" in page
    assert "Planned" in page


def test_putting_live_twice_is_refused_with_a_sentence(signed_in, certified) -> None:
    put_live = reverse("deploy:put_live", args=[certified.pk])
    signed_in.post(put_live)
    page = signed_in.post(put_live, follow=True).content.decode()
    assert "Something is being put live on mail1.example.test already" in page
    assert HostRollout.objects.count() == 1


def test_without_a_certificate_the_page_says_what_to_do_first(signed_in, host) -> None:
    page = signed_in.post(reverse("deploy:put_live", args=[host.pk]), follow=True)
    assert "no certificate yet" in page.content.decode()
    assert not HostRollout.objects.exists()


def test_a_viewer_sees_hosts_but_may_change_nothing(client, viewer, certified) -> None:
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get(reverse("deploy:host", args=[certified.pk])).status_code == 200
    for name in ("settings", "remove", "certificate", "check", "put_live"):
        url = reverse(f"deploy:{name}", args=[certified.pk])
        assert client.post(url).status_code == 403, name
    assert "Put live" not in client.get(reverse("deploy:change_bar")).content.decode()


def test_the_change_bar_is_empty_when_all_is_live(signed_in, certified, owner, now) -> None:
    bar = reverse("deploy:change_bar")
    assert "1 change not live on mail1.example.test" in signed_in.get(bar).content.decode()
    live(certified, owner, now)
    assert signed_in.get(bar).content.decode().strip() == ""
    Host.objects.filter(pk=certified.pk).update(message_size_mb=25)
    assert "1 change not live" in signed_in.get(bar).content.decode()


def test_the_change_bar_costs_few_queries(
    signed_in, certified, owner, now, django_assert_max_num_queries
) -> None:
    live(certified, owner, now)
    bar = reverse("deploy:change_bar")
    signed_in.get(bar)
    with django_assert_max_num_queries(7):  # session, user and hosts, generations, rollouts
        signed_in.get(bar)


def test_adding_a_server_asks_a_worker_for_a_key(signed_in, sent_nudges) -> None:
    response = signed_in.post(
        reverse("deploy:add"), {"fqdn": "Mail2.Example.Test.", "address": "", "ssh_port": "22"}
    )
    added = Host.objects.get()
    assert response.url == reverse("deploy:host", args=[added.pk])
    assert (added.fqdn, added.address, added.state) == (
        "mail2.example.test",
        "mail2.example.test",
        Host.ENROLLING,
    )
    assert added.ssh_private_key is None
    assert HostJob.objects.get().kind == HostJob.PREPARE


@pytest.mark.parametrize(
    ("fqdn", "address"),
    [("mail", "192.0.2.2"), ("ma il.example.test", ""), ("mail.example.test", "a b"), ("", "")],
)
def test_a_name_that_is_no_host_name_is_refused(signed_in, fqdn, address) -> None:
    form = {"fqdn": fqdn, "address": address, "ssh_port": "22"}
    response = signed_in.post(reverse("deploy:add"), form)
    assert response.status_code == 200
    assert "invalid-feedback" in response.content.decode()
    assert not Host.objects.exists()


def test_the_same_server_twice_is_refused(signed_in, host) -> None:
    form = {"fqdn": host.fqdn, "address": "192.0.2.9", "ssh_port": "22"}
    page = signed_in.post(reverse("deploy:add"), form).content.decode()
    assert "There is a server mail1.example.test already" in page


def enrolling(owner, now) -> Host:
    row = enrolment.add(
        fqdn="mail3.example.test", address="192.0.2.6", ssh_port=22, by=owner, at=now
    )
    row.jobs.all().delete()
    enrolment.give_key(row)
    return row


def test_the_key_is_pinned_only_as_it_was_shown(signed_in, owner, now, host) -> None:
    row = enrolling(owner, now)
    Host.objects.filter(pk=row.pk).update(offered_host_key=host.host_key)
    page = signed_in.get(reverse("deploy:host", args=[row.pk])).content.decode()
    assert "SHA256:" in page
    assert "ssh-keygen -lf" in page
    confirm = reverse("deploy:confirm_key", args=[row.pk])
    signed_in.post(confirm, {"offered": "SHA256:something else"})
    row.refresh_from_db()
    assert row.host_key == ""
    fingerprint = enrolment.ssh.fingerprint(host.host_key)
    signed_in.post(confirm, {"offered": fingerprint})
    row.refresh_from_db()
    assert row.host_key == host.host_key


def test_the_command_to_paste_unpacks_to_the_installer(signed_in, owner, now, host) -> None:
    import subprocess

    row = enrolling(owner, now)
    Host.objects.filter(pk=row.pk).update(host_key=host.host_key)
    context = signed_in.get(reverse("deploy:host", args=[row.pk])).context
    command = context["command"]
    assert all(len(line) < 1000 for line in command.splitlines())
    assert len(command) < 128 * 1024, "the most that one argument may be: ssh host 'command'"
    assert row.ssh_private_key
    shown = command.replace("$(command -v sudo) sh", "cat")
    unpacked = subprocess.run(["sh"], input=shown, capture_output=True, text=True, check=True)
    assert row.ssh_public_key.split()[1] in unpacked.stdout
    assert unpacked.stdout.startswith("#!/bin/sh") or "mailadmin" in unpacked.stdout


def test_generations_and_going_back(signed_in, certified, owner, now) -> None:
    first = live(certified, owner, now)
    Host.objects.filter(pk=certified.pk).update(message_size_mb=25)
    certified.refresh_from_db()
    Generation.objects.filter(pk=first.pk).update(state=Generation.KEPT)
    second = live(certified, owner, now)
    page = signed_in.get(reverse("deploy:generations", args=[certified.pk])).content.decode()
    assert "Live" in page and "Kept" in page
    page = signed_in.get(reverse("deploy:generation", args=[certified.pk, first.number]))
    assert "Go back to 1" in page.content.decode()
    response = signed_in.post(reverse("deploy:go_back", args=[certified.pk, first.number]))
    row = HostRollout.objects.open().get()
    assert response.url == reverse("deploy:rollout", args=[row.rollout_id])
    assert row.generation.number == second.number + 1
    assert row.generation.digest == first.digest
    assert row.generation.came_from == first


def test_going_back_to_what_was_never_live_is_refused(signed_in, certified, owner, now) -> None:
    first = live(certified, owner, now)
    Generation.objects.filter(pk=first.pk).update(state=Generation.DISCARDED)
    url = reverse("deploy:go_back", args=[certified.pk, first.number])
    page = signed_in.post(url, follow=True).content.decode()
    assert "Only a generation that was live before" in page


def test_own_lines_ask_to_sign_in_again(signed_in, certified) -> None:
    response = signed_in.get(reverse("deploy:snippets", args=[certified.pk]))
    assert response.status_code == 302
    assert "reauthenticate" in response.url


def sign_in_again(client) -> None:
    client.post(reverse("account_reauthenticate"), {"password": "correct horse 42"})


def test_own_lines_are_checked_and_kept(signed_in, certified) -> None:
    sign_in_again(signed_in)
    url = reverse("deploy:snippets", args=[certified.pk])
    bad = {"snippet_sendmail": "syscmd(`id')", "snippet_dovecot": "auth_debug = yes"}
    page = signed_in.post(url, bad).content.decode()
    assert "could run programs" in page
    certified.refresh_from_db()
    assert certified.snippet_sendmail == ""
    good = {"snippet_sendmail": "", "snippet_dovecot": "mail_max_userip_connections = 20\r\n"}
    assert signed_in.post(url, good).status_code == 302
    certified.refresh_from_db()
    assert "\r" not in certified.snippet_dovecot


def test_removing_a_server_forgets_it(signed_in, certified, owner, now) -> None:
    live(certified, owner, now)
    page = signed_in.get(reverse("deploy:remove", args=[certified.pk])).content.decode()
    assert "base64 -d" in page
    signed_in.post(reverse("deploy:remove", args=[certified.pk]))
    assert not Host.objects.exists()
    assert not AccountPush.objects.exists()


def test_removing_waits_for_a_rollout(signed_in, certified, owner, now) -> None:
    rollout.request(hosts=[certified], by=owner, at=now)
    page = signed_in.post(reverse("deploy:remove", args=[certified.pk]), follow=True)
    assert "Wait until it has ended" in page.content.decode()
    assert Host.objects.exists()
