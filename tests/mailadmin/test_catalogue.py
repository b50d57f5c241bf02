"""Every string is in its catalogue and translated, and the command that says so can say no."""

import os
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from mailadmin.management.commands import catalogue

pytestmark = pytest.mark.skipif(
    not shutil.which("xgettext") and os.environ.get("CI") != "true",
    reason="GNU gettext is not installed: apt-get install gettext",
)


@pytest.mark.parametrize("app", catalogue.APPS)
def test_complete(app):
    call_command("catalogue", app, "--check", stdout=StringIO())


@pytest.fixture
def house(tmp_path, settings):
    """A project with one app of one module and one template."""
    settings.BASE_DIR = tmp_path
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca/views.py").write_text('from x import gettext as _\n_("Issue")\n')
    (tmp_path / "templates/ca").mkdir(parents=True)
    (tmp_path / "templates/ca/a.html").write_text(
        "{% blocktranslate count n=n %}{{ n }} key{% plural %}{{ n }} keys{% endblocktranslate %}"
    )
    return tmp_path


def po(house: Path) -> Path:
    return house / "ca/locale/zh_Hant/LC_MESSAGES/django.po"


def translate(house: Path) -> None:
    text = po(house).read_text()
    text = text.replace('msgid "Issue"\nmsgstr ""', 'msgid "Issue"\nmsgstr "簽發"')
    text = text.replace('msgstr[0] ""', 'msgstr[0] "%(n)s 把金鑰"')
    po(house).write_text(text)


def make(*arguments: str) -> str:
    out = StringIO()
    call_command("catalogue", "ca", *arguments, stdout=out)
    return out.getvalue()


def test_collects_keeps_and_compiles(house):
    assert "2 untranslated" in make()
    translate(house)
    assert "0 untranslated" in make()
    assert "簽發" in po(house).read_text()
    make("--check")


def test_check_sees_every_kind_of_gap(house):
    make()
    with pytest.raises(CommandError, match="untranslated: Issue"):
        make("--check")
    translate(house)
    with pytest.raises(CommandError, match="older than its"):
        make("--check")
    make()
    po(house).write_text(po(house).read_text().replace('msgid "Issue"', '#, fuzzy\nmsgid "Issue"'))
    with pytest.raises(CommandError, match="fuzzy: Issue"):
        make("--check")


def test_check_sees_a_string_that_came_later(house):
    make()
    translate(house)
    make()
    (house / "ca/views.py").write_text('_("Issue")\n_("Revoke")\n')
    with pytest.raises(CommandError, match="untranslated: Revoke"):
        make("--check")


def test_a_format_that_does_not_fit_is_refused(house):
    (house / "ca/views.py").write_text('_("%(n)d days")\n')
    make()
    po(house).write_text(
        po(house)
        .read_text()
        .replace('msgid "%(n)d days"\nmsgstr ""', 'msgid "%(n)d days"\nmsgstr "%(m)d 天"')
    )
    with pytest.raises(CommandError):
        make("--check")


def test_what_other_packages_say_is_translated_too():
    """The words of Django and django-allauth that reach a page."""
    reached = [
        "Current Password", "New Password", "New Password (again)", "Authenticator code", "Code",
        "The username and/or password you specified are not correct.",
        "The email address and/or password you specified are not correct.",
        "Too many failed login attempts. Try again later.",
        "Incorrect code.", "Incorrect password.",
        "Use your password", "Use authenticator app or code", "Use a security key",
        "Enter a valid email address.", "This field is required.",
        "This password is entirely numeric.", "This password is too common.",
    ]  # fmt: skip
    with translation.override("zh-hant"):
        english = [text for text in reached if translation.gettext(text) == text]
    assert not english


def test_the_same_words_are_translated_the_same_everywhere():
    """Catalogues merge into one at run time: the first app's translation would win silently."""
    import gettext

    from django.conf import settings

    seen: dict[str, tuple[str, str]] = {}
    differ = []
    for app in catalogue.APPS:
        mo = settings.BASE_DIR / app / "locale/zh_Hant/LC_MESSAGES/django.mo"
        with mo.open("rb") as file:
            words = gettext.GNUTranslations(file)._catalog
        for msgid, text in words.items():
            if not msgid:
                continue
            key = str(msgid)
            other = seen.setdefault(key, (app, text))
            if other[1] != text:
                differ.append(f"{key!r}: {other[0]} says {other[1]!r}, {app} says {text!r}")
    assert not differ, "\n".join(differ)


def test_our_words_win_over_the_packages():
    """django-allauth lists "Sessions" in its own catalogue without a translation."""
    with translation.override("zh-hant"):
        assert translation.gettext("Sessions") == "工作階段"
