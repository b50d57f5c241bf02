"""The pages of domains, mailboxes and aliases, below /accounts/."""

from django.urls import path

app_name = "accounts"
urlpatterns: list = []
