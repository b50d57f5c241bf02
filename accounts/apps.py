from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Domains, mailboxes and aliases, and the log of changes that the hosts follow."""

    name = "accounts"
    verbose_name = _("Accounts")
