"""The page where a certificate's owner brings its key and takes both away in one file."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from ca import bundling, export
from ca.forms.bundles import BundleForm
from ca.models import Certificate
from ca.pages.certificate import saved
from core.access import requires


@sensitive_post_parameters("key", "key_passphrase", "passphrase", "passphrase_again")
@sensitive_variables()
@never_cache
@requires("ca.issue")
def bundle(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Certificate.objects.leaves(), pk=pk)
    form = BundleForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            content = bundling.bundle(
                certificate=found,
                key=data["source"],
                key_passphrase=data["key_passphrase"],
                passphrase=data["passphrase"],
                form=data["form"],
                by=request.user,
                at=timezone.now(),
            )
        except bundling.NotBundled as refusal:
            form.add_error(refusal.field, refusal.sentence)
        else:
            chosen = data["form"]
            return saved(content, export.FORMS[chosen], export.file_name(found, chosen))
    status = 422 if form.errors else 200
    context = {"form": form.without_secrets() if form.errors else form, "certificate": found}
    return render(request, "ca/bundle.html", context, status=status)
