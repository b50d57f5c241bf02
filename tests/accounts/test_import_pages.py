"""The pages and the calls that bring accounts in, and the list as CSV."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts import importing, tasks
from accounts.models import AccountImport, Mailbox
from core.api_auth import create_token
from tests.accounts.conftest import GOOD

pytestmark = pytest.mark.django_db
CSV = f"address,password\nbert@example.test,{GOOD}\n<b>@example.test,x\n"


def test_paste_look_and_import(signed_in: Client, domain: Any) -> None:
    response = signed_in.post("/accounts/import/", {"text": CSV})
    dry = AccountImport.objects.get()
    assert response.status_code == 302 and response["Location"] == f"/accounts/imports/{dry.pk}/"
    assert dry.dry_run
    running = signed_in.get(response["Location"]).content.decode()
    assert "every 1s" in running and "Import for real now" not in running
    tasks.import_accounts(dry.pk)
    page = signed_in.get(response["Location"]).content.decode()
    assert "every 1s" not in page and "Would be made" in page and "Import for real now" in page
    assert "&lt;b&gt;@example.test" in page and GOOD not in page
    refused = signed_in.get(f"{response['Location']}?outcome=refused").content.decode()
    assert "bert@" not in refused
    real = signed_in.post(f"{response['Location']}real/")
    tasks.import_accounts(AccountImport.objects.exclude(pk=dry.pk).get().pk)
    assert "Refused" in signed_in.get(real["Location"]).content.decode()
    assert Mailbox.objects.get().address == "bert@example.test"
    # A second time there is nothing to follow.
    assert signed_in.post(f"{response['Location']}real/").status_code == 409
    assert "staff" not in signed_in.get("/accounts/imports/").content.decode()


def test_an_upload_and_its_report(signed_in: Client, domain: Any) -> None:
    file = SimpleUploadedFile("staff.csv", b"\xef\xbb\xbf" + CSV.replace("<b>", "=1").encode())
    signed_in.post("/accounts/import/", {"file": file})
    batch = AccountImport.objects.get()
    assert batch.name == "staff.csv"
    tasks.import_accounts(batch.pk)
    report = signed_in.get(f"/accounts/imports/{batch.pk}/report.csv?outcome=refused")
    text = b"".join(report).decode()
    assert "'=1@example.test,refused" in text and "bert" not in text and GOOD not in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "Choose a file, or paste its lines."),
        ({"text": "address|note\nx|y\n"}, "separated by a comma"),
        ({"text": "address,phone\nx,y\n"}, "phone"),
        ({"file": SimpleUploadedFile("a.xlsx", b"PK\x03\x04\0\0")}, "CSV UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_at_the_field(signed_in: Client, data: Any, words: str) -> None:
    response = signed_in.post("/accounts/import/", data)
    assert response.status_code == 422 and words in response.content.decode()
    assert not AccountImport.objects.exists()


def test_a_file_of_a_gigabyte_is_refused_by_its_length_alone(signed_in: Client) -> None:
    response = signed_in.post(
        "/accounts/import/", b"", content_type="text/csv", CONTENT_LENGTH=str(1024**3)
    )
    assert response.status_code == 413 and "100 MB" in response.content.decode()


def test_a_form_without_its_token_is_refused(owner: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post("/accounts/import/", {"text": CSV}).status_code == 403
    assert not AccountImport.objects.exists()


def test_stop(signed_in: Client, domain: Any) -> None:
    signed_in.post("/accounts/import/", {"text": CSV})
    batch = AccountImport.objects.get()
    assert signed_in.post(f"/accounts/imports/{batch.pk}/cancel/").status_code == 302
    tasks.import_accounts(batch.pk)
    batch.refresh_from_db()
    assert batch.state == "cancelled"
    assert signed_in.post(f"/accounts/imports/{batch.pk}/cancel/").status_code == 409


def test_the_list_as_csv_is_filtered_like_the_page(signed_in: Client, anna: Any) -> None:
    response = signed_in.get("/accounts/accounts.csv?q=anna")
    text = b"".join(response).decode()
    assert "anna@example.test" in text and anna.password not in text
    assert "anna" not in b"".join(signed_in.get("/accounts/accounts.csv?q=nobody")).decode()
    assert signed_in.get("/accounts/accounts.csv?state=nonsense").status_code == 302


def test_the_api_brings_in_and_reports(owner: Any, domain: Any) -> None:
    now = timezone.now()
    scopes = ["accounts:read", "accounts:write"]
    _token, secret = create_token(
        name="t", scopes=scopes, expires_at=now + timedelta(days=1), by=owner, at=now
    )
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    file = SimpleUploadedFile("staff.csv", CSV.encode())
    response = client.post("/api/v1/imports", {"file": file, "dry_run": "false"})
    assert response.status_code == 202
    pk = response.json()["id"]
    tasks.import_accounts(pk)
    told = client.get(f"/api/v1/imports/{pk}?outcome=refused").json()
    assert (told["state"], told["created"], told["refused"]) == ("done", 1, 1)
    assert told["items"][0]["codes"][0] == "local_characters"
    empty = SimpleUploadedFile("staff.csv", b"x")
    refused = client.post("/api/v1/imports", {"file": empty})
    assert refused.status_code == 422 and refused.json()["code"] == importing.FileRefused.__name__
