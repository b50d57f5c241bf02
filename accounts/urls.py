"""The pages of mailboxes, domains and aliases, below /accounts/."""

from django.urls import path

from accounts.pages import aliases, closing, domains, flags, importing, invitations, mailboxes

app_name = "accounts"
urlpatterns = [
    path("", mailboxes.mailboxes, name="mailboxes"),
    path("accounts.csv", mailboxes.as_csv, name="csv"),
    path("import/", importing.new, name="import_new"),
    path("imports/", importing.imports, name="imports"),
    path("imports/<int:pk>/", importing.batch, name="import"),
    path("imports/<int:pk>/report.csv", importing.report, name="import_report"),
    path("imports/<int:pk>/real/", importing.real, name="import_real"),
    path("imports/<int:pk>/cancel/", importing.cancel, name="import_cancel"),
    path("new/", mailboxes.new, name="new"),
    path("selected/", mailboxes.selected, name="selected"),
    path("check/name/", mailboxes.name_check, name="name_check"),
    path("check/password/", mailboxes.password_check, name="password_check"),
    path("<int:pk>/", mailboxes.mailbox, name="mailbox"),
    path("<int:pk>/edit/", mailboxes.edit, name="edit"),
    path("<int:pk>/password/", mailboxes.password, name="password"),
    path("<int:pk>/suspend/", mailboxes.suspend, name="suspend"),
    path("<int:pk>/resume/", mailboxes.resume, name="resume"),
    path("<int:pk>/close/", closing.close, name="close"),
    path("<int:pk>/reopen/", closing.reopen, name="reopen"),
    path("<int:pk>/erase/", closing.erase, name="erase"),
    path("<int:pk>/end/", closing.end, name="end"),
    path("<int:pk>/invite/", invitations.invite, name="invite"),
    path("<int:pk>/invite/withdraw/", invitations.withdraw, name="invitation_withdraw"),
    path("invitation/<str:secret>/", invitations.invitation, name="invitation"),
    path("invitation/<str:secret>/check/", invitations.check, name="invitation_check"),
    path("flags/", flags.index, name="flags"),
    path("flags/selected/", flags.selected, name="flags_selected"),
    path("flags/audit/", flags.audit, name="audit"),
    path("flags/audit/start/", flags.audit_start, name="audit_start"),
    path("flags/audit/stop/", flags.audit_stop, name="audit_stop"),
    path("domains/", domains.index, name="domains"),
    path("domains/<int:pk>/", domains.domain, name="domain"),
    path("domains/<int:pk>/edit/", domains.edit, name="domain_edit"),
    path("domains/<int:pk>/remove/", domains.remove, name="domain_remove"),
    path("aliases/", aliases.index, name="aliases"),
    path("aliases/new/", aliases.new, name="alias_new"),
    path("aliases/<int:pk>/edit/", aliases.edit, name="alias_edit"),
    path("aliases/<int:pk>/delete/", aliases.delete, name="alias_delete"),
]
