"""Addresses of the certificates' pages."""

from __future__ import annotations

from django.urls import path

from ca import (
    authority_views,
    certificate_views,
    export_views,
    import_views,
    issue_views,
    making_views,
    profile_views,
    renewal_views,
    revocation_views,
    views,
)

app_name = "ca"
urlpatterns = [
    path("", views.certificates, name="certificates"),
    path("<int:pk>/", certificate_views.certificate, name="certificate"),
    path("<int:pk>/download/<slug:form>", certificate_views.download, name="download"),
    path("<int:pk>/bundle/", export_views.bundle, name="bundle"),
    path("<int:pk>/renew/", renewal_views.renew, name="renew"),
    path("<int:pk>/supersede", renewal_views.supersede, name="supersede"),
    path("due/", renewal_views.due, name="due"),
    path("<int:pk>/revoke", revocation_views.revoke, name="revoke"),
    path("<int:pk>/hold", revocation_views.hold, name="hold"),
    path("<int:pk>/release", revocation_views.release, name="release"),
    path("new/", issue_views.new, name="new"),
    path("orders/<int:pk>/", issue_views.order, name="order"),
    path("orders/<int:pk>/cancel", issue_views.cancel, name="cancel"),
    path("authorities/", authority_views.authority_tree, name="authorities"),
    path("authorities/new/", making_views.new_hierarchy, name="new_hierarchy"),
    path("authorities/new/root/", making_views.new_root, name="new_root"),
    path("authorities/new/request/", making_views.new_request, name="new_request"),
    path("authorities/<int:pk>/", authority_views.authority, name="authority"),
    path("authorities/<int:pk>/new/", making_views.new_issuing, name="new_issuing"),
    path("authorities/<int:pk>/successor/", making_views.new_successor, name="new_successor"),
    path("authorities/<int:pk>/subordinate/", making_views.new_subordinate, name="new_subordinate"),
    path("authorities/<int:pk>/reissue/", making_views.reissue, name="reissue"),
    path("authorities/<int:pk>/list/", making_views.renew_list, name="renew_list"),
    path("authorities/<int:pk>/request", authority_views.request_download, name="authority_csr"),
    path("authorities/<int:pk>/accept", authority_views.accept, name="accept"),
    path("authorities/<int:pk>/withdraw", authority_views.withdraw, name="withdraw"),
    path("authorities/<int:pk>/retire", authority_views.retire, name="retire"),
    path("authorities/<int:pk>/reinstate", authority_views.reinstate, name="reinstate"),
    path("profiles/", profile_views.listed, name="profiles"),
    path("profiles/new/<slug:base>/", profile_views.new, name="new_profile"),
    path("profiles/<slug:slug>/", profile_views.edit, name="profile"),
    path("profiles/<slug:slug>/retire", profile_views.retire, name="retire_profile"),
    path("profiles/<slug:slug>/reinstate", profile_views.reinstate, name="reinstate_profile"),
    path("ceremonies/<int:pk>/", authority_views.ceremony, name="ceremony"),
    path("authorities/import/", import_views.new_import, name="import"),
    path("authorities/import/look", import_views.look, name="import_look"),
    path("authorities/import/<int:pk>/", import_views.imported, name="imported"),
    path("authorities/<int:pk>/crossing/", import_views.crossing_page, name="crossing"),
    path("authorities/<int:pk>/crossing/sign", import_views.sign_anew, name="sign_anew"),
]
