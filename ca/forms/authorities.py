"""Forms that make authorities. Which one may sign for what is judged again by the verbs."""

from __future__ import annotations

from typing import Any

from cryptography.x509.oid import NameOID
from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from ca import keys, names, passphrases, profiles, rehearsal, tokens, wishes, wording
from ca.models import Issuer
from ca.wishes import AuthorityWish, Wish
from ca.wording.authorities import WARNINGS

OTHER = "other"
ROOT_LIVES = [
    ("3653", _("10 years (3653 days)")),
    ("5479", _("15 years (5479 days)")),
    (str(profiles.CLASSIC_ROOT_DAYS), _("20 years (7305 days), the classic")),
    ("9131", _("25 years (9131 days)")),
    (OTHER, _("Another number of days")),
]
ISSUING_LIVES = [
    ("1096", _("3 years (1096 days)")),
    ("1826", _("5 years (1826 days)")),
    ("3653", _("10 years (3653 days)")),
    (OTHER, _("Another number of days")),
]
ED25519 = ("ed25519", _("Ed25519: not for mail programs and phones, see below"))
ROOT_ALGORITHMS = [
    ("p384", _("P-384: small and fast, recommended")),
    ("p256", _("P-256")),
    ("rsa4096", _("RSA 4096: for devices that know only RSA")),
    ("rsa3072", _("RSA 3072")),
    ("rsa2048", _("RSA 2048")),
    ED25519,
]
ISSUING_ALGORITHMS = [
    ("p256", _("P-256: small and fast, recommended")),
    ("p384", _("P-384")),
    ("rsa2048", _("RSA 2048: for mail programs that know only RSA")),
    ("rsa3072", _("RSA 3072")),
    ("rsa4096", _("RSA 4096")),
    ED25519,
]
LEVELS = [
    ("0", _("None: it signs certificates only, recommended")),
    ("1", _("One level of authorities")),
    ("2", _("Two levels of authorities")),
]
NEW_PASSPHRASE = {"autocomplete": "new-password", "spellcheck": "false"}
OWN_PASSPHRASE = {"autocomplete": "off", "spellcheck": "false"}


def _passphrase(label: Any, attrs: dict[str, str], help_text: Any = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs=attrs)
    return forms.CharField(label=label, widget=widget, strip=False, help_text=help_text)


def organisation_field() -> forms.CharField:
    return forms.CharField(label=_("Organisation"), max_length=64)


def country_field() -> forms.CharField:
    return forms.CharField(
        label=_("Country"),
        required=False,
        max_length=2,
        widget=forms.TextInput(attrs={"placeholder": "TW", "autocomplete": "country"}),
        help_text=_("Two letters, or empty."),
    )


def _life(form: forms.Form, prefix: str) -> int:
    """The chosen number of days; notes an error when "another number" was left empty."""
    chosen = form.cleaned_data.get(f"{prefix}_life", "")
    if chosen != OTHER:
        return int(chosen or 0)
    days = form.cleaned_data.get(f"{prefix}_days")
    if not days and f"{prefix}_days" not in form.errors:
        form.add_error(f"{prefix}_days", _("Enter the number of days."))
    return int(days or 0)


def subject_of(issuer: Issuer) -> dict[str, str]:
    """Organisation and country as the issuer has them, for what stands below it."""
    found = {}
    for field, oid in (
        ("organisation", NameOID.ORGANIZATION_NAME),
        ("country", NameOID.COUNTRY_NAME),
    ):
        values = issuer.parsed.subject.get_attributes_for_oid(oid)
        found[field] = str(values[0].value) if values else ""
    return found


def public_address(help_text: Any) -> forms.CharField:
    """http:// and a host name; `ca.wishes.normal_origin` judges it."""
    return forms.CharField(
        label=_("Public address"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={
                "placeholder": "http://pki.example.com",
                "inputmode": "url",
                "spellcheck": "false",
            }
        ),
        help_text=help_text,
    )


class AuthorityForm(forms.Form):
    """A form whose secrets are not needed only to look at what would be signed."""

    def without_secrets(self) -> None:
        self._secrets_required(False)

    def with_secrets(self) -> None:
        """As the page shows it again."""
        self._secrets_required(True)

    def _secrets_required(self, required: bool) -> None:
        for field in self.fields.values():
            if isinstance(field.widget, forms.PasswordInput):
                field.required = required


class RootFields(AuthorityForm):
    """What is asked for a root."""

    organisation = organisation_field()
    country = country_field()
    root_name = forms.CharField(
        label=_("Name of the root"),
        max_length=64,
        widget=forms.TextInput(attrs={"data-follow": "organisation", "data-suffix": "Root CA"}),
        help_text=_("People see it when they install the root on their devices."),
    )
    root_algorithm = forms.ChoiceField(
        label=_("Key"), choices=ROOT_ALGORITHMS, help_text=WARNINGS["ed25519"]
    )
    root_life = forms.ChoiceField(
        label=_("Life"), choices=ROOT_LIVES, initial=str(profiles.CLASSIC_ROOT_DAYS)
    )
    root_days = forms.IntegerField(label=_("Days"), required=False, min_value=1)
    root_path_length = forms.IntegerField(
        label=_("Levels of authorities below it"),
        required=False,
        min_value=0,
        max_value=rehearsal.MOST_LEVELS,
        help_text=_("Empty: no limit. 1 is enough for issuing authorities right below the root."),
    )
    passphrase = _passphrase(
        _("Passphrase of the root"),
        NEW_PASSPHRASE | {"minlength": str(passphrases.SHORTEST)},
        _(
            "At least 12 characters; several words are easiest. It is never stored: write it down "
            "and lock it away. It is asked for only when the root signs another authority, and "
            "nobody can recover it."
        ),
    )
    passphrase_again = _passphrase(_("The passphrase again"), NEW_PASSPHRASE)

    field_order = ["organisation", "country", "root_name"]

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["root_length"] = _life(self, "root")
        first, second = cleaned.get("passphrase"), cleaned.get("passphrase_again")
        known = [cleaned.get(field, "") for field in ("root_name", "organisation", "issuing_name")]
        for code in passphrases.problems(first, known=known) if first else []:
            self.add_error("passphrase", wording.sentence(code))
        if first and second and passphrases.normal(first) != passphrases.normal(second):
            self.add_error("passphrase_again", _("The two passphrases differ. Type them again."))
        return cleaned

    def root_wish(self) -> AuthorityWish:
        return AuthorityWish(
            name=self.cleaned_data["root_name"],
            algorithm=self.cleaned_data["root_algorithm"],
            days=self.cleaned_data["root_length"],
            organisation=self.cleaned_data["organisation"],
            country=self.cleaned_data["country"],
            path_length=self.cleaned_data.get("root_path_length"),
        )


class IssuingFields(AuthorityForm):
    """What is asked for an issuing authority, under a new root or one that exists."""

    issuing_name = forms.CharField(
        label=_("Name of the issuing authority"),
        max_length=64,
        widget=forms.TextInput(attrs={"data-follow": "organisation", "data-suffix": "Issuing CA"}),
        help_text=_("It signs the certificates of your hosts, without the passphrase."),
    )
    permitted = forms.CharField(
        label=_("Domains and networks it may sign for"),
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 3, "placeholder": "example.com\n192.0.2.0/24", "spellcheck": "false"}
        ),
        help_text=_(
            "Your organisation's domains, one a line; everything below them is included. A stolen "
            "key can then not speak for anybody else. Add networks only if certificates should "
            "carry IP addresses."
        ),
    )
    unconstrained = forms.BooleanField(
        label=_("Let it sign for any name in the world"),
        required=False,
        help_text=_(
            "Whoever steals its key could then pose as any server to everyone who trusts the root."
        ),
    )
    origin = public_address(
        _(
            "Where clients can fetch the revocation list and the issuer's certificate from this "
            "console, without signing in: http:// and a host name. It is burnt into every "
            "certificate and cannot be changed afterwards. Leave it empty if clients cannot reach "
            "the console: certificates then say nothing of it, and revoking one is not announced."
        )
    )
    issuing_algorithm = forms.ChoiceField(
        label=_("Key"), choices=ISSUING_ALGORITHMS, help_text=WARNINGS["ed25519"]
    )
    issuing_on_token = forms.BooleanField(
        label=_("Make the key on the token"),
        required=False,
        help_text=_(
            "It never leaves the token, so no backup of the console has it. Otherwise it is in the "
            "database, under the signer's key-encryption key."
        ),
    )
    issuing_life = forms.ChoiceField(label=_("Life"), choices=ISSUING_LIVES, initial="1826")
    issuing_days = forms.IntegerField(label=_("Days"), required=False, min_value=1)
    issuing_path_length = forms.ChoiceField(
        label=_("Authorities below it"), choices=LEVELS, initial="0", required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not tokens.label():
            self.fields.pop("issuing_on_token", None)
        if "origin" in self.fields:
            self.fields["origin"].initial = settings.PUBLIC_URL

    def permitted_texts(self) -> tuple[str, ...]:
        return tuple(names.split(self.cleaned_data.get("permitted", "")))

    def clean(self) -> dict[str, Any]:
        """The verb asks the same again; here, so that all that is wrong is named at once."""
        cleaned = super().clean() or {}
        cleaned["issuing_length"] = _life(self, "issuing")
        try:
            permitted = wishes.normal_permitted(self.permitted_texts())
            if not permitted and not cleaned.get("unconstrained"):
                self.add_error("permitted", wording.sentence("constraints_missing"))
        except names.BadName as error:
            self.add_error("permitted", wording.sentence(error.code, {"value": error.value}))
        try:
            wishes.normal_origin(cleaned.get("origin", ""))
        except wishes.BadOrigin as error:
            self.add_error("origin", wording.sentence(error.code, {"value": error.value}))
        algorithm = cleaned.get("issuing_algorithm")
        if cleaned.get("issuing_on_token") and algorithm not in tokens.ALGORITHMS:
            refused = wording.sentence("token_algorithm", {"token": tokens.label()})
            self.add_error("issuing_algorithm", refused)
        return cleaned

    def issuing_wish(self, *, organisation: str = "", country: str = "") -> AuthorityWish:
        return AuthorityWish(
            name=self.cleaned_data["issuing_name"],
            algorithm=self.cleaned_data.get("issuing_algorithm", ""),
            days=self.cleaned_data["issuing_length"],
            organisation=organisation or self.cleaned_data.get("organisation", ""),
            country=country or self.cleaned_data.get("country", ""),
            path_length=int(self.cleaned_data.get("issuing_path_length") or 0),
        )

    def wish(self, **known: str) -> Wish:
        return Wish(
            issuing=self.issuing_wish(**known),
            permitted=self.permitted_texts(),
            origin=self.cleaned_data.get("origin", ""),
            on_token=self.cleaned_data.get("issuing_on_token", False),
        )


class HierarchyForm(RootFields, IssuingFields):
    """A root and an issuing authority in one page."""

    def wish(self, **known: str) -> Wish:
        return Wish(
            root=self.root_wish(),
            issuing=self.issuing_wish(),
            permitted=self.permitted_texts(),
            origin=self.cleaned_data["origin"],
            on_token=self.cleaned_data.get("issuing_on_token", False),
        )


class RootForm(RootFields):
    """A root alone."""

    def wish(self, **known: str) -> Wish:
        return Wish(root=self.root_wish())


class IssuingForm(IssuingFields):
    """Another authority under one that exists; its passphrase opens a root."""

    passphrase = _passphrase(_("Passphrase of the root"), OWN_PASSPHRASE)

    def __init__(self, *args: Any, under: Issuer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if under.key_kept != Issuer.UNDER_PASSPHRASE:
            del self.fields["passphrase"]


class PassphraseForm(forms.Form):
    """The passphrase alone: to try again, or to renew the root's revocation list."""

    passphrase = _passphrase(_("Passphrase of the root"), OWN_PASSPHRASE)


class ReissueForm(PassphraseForm):
    """The root's next certificate."""

    root_life = forms.ChoiceField(
        label=_("Life"), choices=ROOT_LIVES, initial=str(profiles.CLASSIC_ROOT_DAYS)
    )
    root_days = forms.IntegerField(label=_("Days"), required=False, min_value=1)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["days"] = _life(self, "root")
        return cleaned


def warnings_of(wish: Wish, *, unconstrained: bool) -> list[Any]:
    """What to think about before the signature, for the preview."""
    algorithms = {part.algorithm for part in (wish.root, wish.issuing) if part is not None}
    found = [WARNINGS[each] for each in sorted(algorithms) if each in WARNINGS]
    if wish.issuing is not None and unconstrained:
        found.append(WARNINGS["unconstrained"])
    return found


def key_label(algorithm: str) -> str:
    return keys.ALGORITHM_LABELS.get(algorithm, algorithm)
