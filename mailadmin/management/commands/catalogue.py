"""`manage.py catalogue [app…] [--check]`: the message catalogues of each area.

Collects the strings of an app's Python and of `templates/<app>/` with xgettext (Django's
`templatize` turns templates into something it can read), merges them into
`<app>/locale/zh_Hant/LC_MESSAGES/django.po` and compiles `django.mo`. `mailadmin` also takes
`core/`, the shared templates, and everything about signing in.

`--check` changes nothing and fails on a string that is missing from the catalogue, untranslated or
fuzzy, on a format that does not fit, and on a `.mo` that does not hold what its `.po` says.
Needs GNU gettext; users do not: the `.mo` files are committed.
"""

import gettext
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation.template import templatize

APPS = ["mailadmin", "ca", "accounts", "deploy"]
LOCALE = "zh_Hant"
SHARED = ["account", "mfa", "usersessions", "allauth", "mailadmin"]
# The helper on the host answers with codes and English sentences; the console translates the codes.
SKIPPED = {"migrations", "hostctl", "locale", "tests"}
KEYWORDS = [
    "gettext_noop", "gettext_lazy", "ngettext_lazy:1,2", "pgettext:1c,2", "npgettext:1c,2,3",
    "pgettext_lazy:1c,2", "npgettext_lazy:1c,2,3",
]  # fmt: skip
HEADER = """\
msgid ""
msgstr ""
"Project-Id-Version: Mailadmin\\n"
"Language: zh_Hant\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"""


def sources(app: str, base: Path) -> Iterator[Path]:
    """Every file whose strings belong to the app's catalogue, in a stable order."""
    folders = [app, "core"] if app == "mailadmin" else [app]
    for folder in folders:
        for path in sorted((base / folder).rglob("*.py")):
            if not SKIPPED & set(path.relative_to(base).parts):
                yield path
    templates = base / "templates"
    if app == "mailadmin":
        yield from sorted(templates.glob("*.html"))
    for folder in SHARED if app == "mailadmin" else [app]:
        yield from sorted((templates / folder).rglob("*.html"))
        yield from sorted((templates / folder).rglob("*.txt"))


def run(*command: str | Path, stdin: bytes | None = None, cwd: Path | None = None) -> bytes:
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, cwd=cwd, check=False
    )
    if done.returncode:
        raise CommandError(f"{command[0]}: {done.stderr.decode().strip()}")
    return done.stdout


def extract(app: str, base: Path, work: Path) -> Path:
    """A fresh .pot of the app's strings, below `work`."""
    names = []
    for path in sources(app, base):
        name = path.relative_to(base)
        text = path.read_text()
        if path.suffix != ".py":
            text = templatize(text, origin=str(name))
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
        names.append(str(name))
    pot = work / "new.pot"
    (work / "names").write_text("\n".join(names))
    run(
        "xgettext", "--language=Python", "--from-code=UTF-8", "--add-location=file",
        "--add-comments=Translators", *(f"--keyword={word}" for word in KEYWORDS),
        "--files-from=names", "--output=new.pot", "--force-po", cwd=work,
    )  # fmt: skip
    body = pot.read_text().partition("\n\n")[2]
    pot.write_text(HEADER + "\n" + body)
    return pot


def merged(po: Path, pot: Path, work: Path) -> bytes:
    """The catalogue with every string of the .pot: known translations kept, obsolete ones gone."""
    known = work / "known.po"
    known.write_bytes(po.read_bytes() if po.exists() else pot.read_bytes())
    text = run(
        "msgmerge", "--quiet", "--no-fuzzy-matching", "--add-location=file", "--no-wrap",
        known, pot,
    )  # fmt: skip
    return run("msgattrib", "--no-obsolete", "--no-wrap", "--add-location=file", "-", stdin=text)


def compiled(po: bytes) -> bytes:
    return run("msgfmt", "--check-format", "--no-hash", "--output-file=-", "-", stdin=po)


def strings(po: bytes, *selection: str) -> list[str]:
    """The msgids that msgattrib selects."""
    found = run("msgattrib", "--no-wrap", "--no-obsolete", *selection, "-", stdin=po).decode()
    return [
        line.removeprefix("msgid ").strip('"')
        for block in found.split("\n\n")[1:]
        for line in [block[block.find("msgid ") :].split("\nmsgstr")[0]]
    ]


def same(left: bytes, right: bytes) -> bool:
    first, second = (gettext.GNUTranslations(BytesIO(mo)) for mo in (left, right))
    return bool(first._catalog == second._catalog)  # type: ignore[attr-defined]


class Command(BaseCommand):
    help = "Collect, merge and compile the message catalogues; --check only looks."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("apps", nargs="*", metavar="app", help=f"of {', '.join(APPS)}")
        parser.add_argument("--check", action="store_true", help="change nothing, fail on a gap")

    def handle(self, *args: Any, **options: Any) -> None:
        if not shutil.which("xgettext"):
            raise CommandError("GNU gettext is not installed: apt-get install gettext")
        unknown = set(options["apps"]) - set(APPS)
        if unknown:
            raise CommandError(f"No such catalogue: {', '.join(sorted(unknown))}")
        gaps = []
        for app in options["apps"] or APPS:
            with tempfile.TemporaryDirectory() as work:
                gaps += self.one(app, Path(work), check=options["check"])
        if gaps and options["check"]:
            raise CommandError("\n".join(["The catalogues have gaps:", *gaps]))

    def one(self, app: str, work: Path, *, check: bool) -> list[str]:
        base = Path(settings.BASE_DIR)
        po = base / app / "locale" / LOCALE / "LC_MESSAGES" / "django.po"
        mo = po.with_suffix(".mo")
        text = merged(po, extract(app, base, work), work)
        fuzzy = strings(text, "--only-fuzzy")
        untranslated = strings(text, "--untranslated")
        gaps = [f"{app}: untranslated: {msgid}" for msgid in untranslated]
        gaps += [f"{app}: fuzzy: {msgid}" for msgid in fuzzy]
        binary = compiled(text)
        if check:
            if not mo.exists() or not same(mo.read_bytes(), compiled(po.read_bytes())):
                gaps.append(f"{app}: {mo.relative_to(base)} is older than its .po")
            return gaps
        po.parent.mkdir(parents=True, exist_ok=True)
        po.write_bytes(text)
        mo.write_bytes(binary)
        self.stdout.write(f"{app}: {len(untranslated)} untranslated, {len(fuzzy)} fuzzy")
        for gap in gaps:
            self.stdout.write("  " + gap)
        return gaps
