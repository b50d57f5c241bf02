"""The pages of mailboxes, domains and aliases, below /accounts/."""

from django.urls import path

from accounts import views, views_aliases, views_domains

app_name = "accounts"
urlpatterns = [
    path("", views.mailboxes, name="mailboxes"),
    path("new/", views.new, name="new"),
    path("selected/", views.selected, name="selected"),
    path("check/name/", views.name_check, name="name_check"),
    path("check/password/", views.password_check, name="password_check"),
    path("<int:pk>/", views.mailbox, name="mailbox"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/password/", views.password, name="password"),
    path("<int:pk>/suspend/", views.suspend, name="suspend"),
    path("<int:pk>/resume/", views.resume, name="resume"),
    path("domains/", views_domains.index, name="domains"),
    path("domains/<int:pk>/remove/", views_domains.remove, name="domain_remove"),
    path("aliases/", views_aliases.index, name="aliases"),
    path("aliases/new/", views_aliases.new, name="alias_new"),
    path("aliases/<int:pk>/delete/", views_aliases.delete, name="alias_delete"),
]
