"""Values into lines: refuse what the target's grammar cannot carry, quote the rest.

Four grammars are written here.

- **m4** (`sendmail.mc`): `define(`confX', ``value'')dnl`.  A value is quoted twice, because m4
  reads the text of an expansion again: quoted once, a host named `dnl.example.test` would eat its
  line.
- **Sendmail's cf**, which m4 makes: commas separate the parts of a daemon's options.
- **Postfix** (`main.cf`): `name = value`, where a line that begins with white space goes on with
  the one before (past comments and empty lines), `$` expands, and commas and spaces separate.
- **Dovecot** (2.3 and 2.4): `name = value`, where `#` starts a comment, `<` reads a file, `$` and
  `%` expand, and quotes have escapes that differ between the versions.

The values that reach a configuration are names, addresses and numbers, so none of these grammars'
special characters is ever needed: they are refused, not escaped.  What is accepted here is read
back by the daemons' own parsers as the same value; tests ask them.

Snippets are the operator's own text.  They are as powerful as root on the host whatever is filtered
here; the filter keeps an owner from breaking what the console promises (passwords out of the log, a
suspension that works at once, a validation that sees every line the daemon reads).  That m4 cannot
run programs is not left to this filter either: the host's helper runs it unprivileged.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Final

from deploy.render.values import GENERATION

MAX_SNIPPET: Final = 64 * 1024
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_WORD: Final = re.compile(r"[A-Za-z0-9._:/@+-]+")
_PLACEHOLDER: Final = re.compile(r"@([A-Z][A-Z0-9_]*)@")


class CannotRender(ValueError):
    """A value that the daemon could not read back as it was given.

    `setting` is the field's name, `problem` a code that the console translates, `detail` what was
    found.  `str()` is one plain English sentence.
    """

    def __init__(self, setting: str, problem: str, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.setting = setting
        self.problem = problem
        self.detail = detail


def fill(template: str, **values: str) -> bytes:
    """The template with each `@NAME@` replaced, in one pass.

    `@GENERATION@` stays: the host's helper replaces it.  A placeholder without a value and a value
    without a placeholder are mistakes in this package, hence KeyError.
    """
    used: set[str] = set()

    def value_of(match: re.Match[str]) -> str:
        if match.group(0) == GENERATION:
            return GENERATION
        used.add(match.group(1))
        return values[match.group(1)]

    text = _PLACEHOLDER.sub(value_of, template)
    if unused := set(values) - used:
        raise KeyError(f"no place in the template for {', '.join(sorted(unused))}")
    return text.encode("utf-8")


def host_name(setting: str, value: str) -> str:
    """A fully qualified host name of RFC 1123 labels, in lower case, at least two of them."""
    labels = value.split(".")
    if len(value) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise CannotRender(
            setting,
            "not_a_host_name",
            f"“{_shown(value)}” is not a host name: use lower-case letters, digits, hyphens and "
            "dots, as in mail.example.com.",
            value,
        )
    if len(labels) < 2 or labels[-1].isdigit():
        raise CannotRender(
            setting,
            "not_fully_qualified",
            f"“{_shown(value)}” is not a full host name: mail servers need one with a domain, as "
            "in mail.example.com.",
            value,
        )
    return value


def addresses(setting: str, values: Iterable[str], version: int) -> tuple[str, ...]:
    """IP addresses of one family in their shortest form, without scope, each once."""
    found: dict[str, None] = {}
    for value in values:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            address = None
        if address is None or address.version != version or "%" in value:
            raise CannotRender(
                setting,
                "not_an_address",
                f"“{_shown(value)}” is not an IPv{version} address to listen on.",
                value,
            )
        found[address.compressed] = None
    return tuple(found)


def only_wildcards(inet: tuple[str, ...], inet6: tuple[str, ...], everywhere: str) -> None:
    """Refuses `::` beside single addresses: its socket would take theirs as well."""
    if len(inet6) > 1 or inet != (everywhere,):
        raise CannotRender(
            "listen_inet6",
            "wildcard_beside_addresses",
            "“::” means every address of both families: name the IPv6 addresses one by one, or "
            "listen on every IPv4 address too.",
            "::",
        )


def megabytes(setting: str, value: int) -> int:
    """A message size in bytes for 1 to 2047 MB: Sendmail holds it in a signed 32-bit number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 2047:
        raise CannotRender(
            setting, "out_of_range", "The message size must be between 1 and 2047 MB.", str(value)
        )
    return value * 1024 * 1024


def word(setting: str, value: str) -> str:
    """A path, name or address that means itself in all four grammars."""
    if not _WORD.fullmatch(value):
        raise CannotRender(
            setting,
            "not_a_word",
            f"“{_shown(value)}” cannot be written into a configuration file: only letters, digits "
            "and . _ : / @ + - can.",
            value,
        )
    return value


def m4_define(name: str, value: str) -> str:
    """`define(`name', ``value'')dnl` for a value that `word` accepts."""
    return f"define(`{name}', ``{word(name, value)}'')dnl"


def daemon_options(*parts: str) -> str:
    """One `DAEMON_OPTIONS` line; a part is `Key=value` with a value that `word` accepts."""
    for part in parts:
        key, _, value = part.partition("=")
        word(key, value)
    return f"DAEMON_OPTIONS(``{', '.join(parts)}'')dnl"


def dovecot_setting(name: str, *values: str) -> str:
    """`name = value` for values that `word` accepts, several separated by commas."""
    return f"{name} = {', '.join(word(name, value) for value in values)}"


def postfix_setting(name: str, *values: str) -> str:
    """`name = value` for values that `word` accepts, several separated by commas."""
    return f"{name} = {', '.join(word(name, value) for value in values)}"


def postfix_settings(text: str) -> Iterator[tuple[int, str, str]]:
    """(line number, name, value) of each logical line of a `main.cf`, as Postfix reads it.

    A line without an equals sign has no name: Postfix would not start with it. One that goes on
    though nothing is before it keeps the white space in its name: in a file of ours it would become
    a part of what is before.
    """
    begun: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and begun is not None:
            begun = begun[0], begun[1] + line
            continue
        if begun is not None:
            yield _postfix_setting(*begun)
        begun = number, line
    if begun is not None:
        yield _postfix_setting(*begun)


def _postfix_setting(number: int, line: str) -> tuple[int, str, str]:
    name, equals, value = line.partition("=")
    return number, name.rstrip() if equals else "", value.strip()


# --- snippets ---------------------------------------------------------------------------------

# m4 builtins that run programs, read or make files, or change how the rest of the text is read.
_M4_REFUSED: Final = re.compile(
    r"(?<![A-Za-z0-9_])"
    r"(e?syscmd|sysval|s?include|undivert|maketemp|mkstemp|builtin|indir|m4exit|m4wrap"
    r"|changequote|changecom|changeword)"
    r"(?![A-Za-z0-9_])"
)
_M4_COMMENT: Final = re.compile(r"[ \t]*(?:#|dnl(?![A-Za-z0-9_]))")
_DOVECOT_REFUSED: Final = re.compile(
    r"^[ \t]*(!include(?:_try)?|auth_debug\w*|auth_verbose_passwords|auth_cache_\w+"
    r"|dovecot_config_version|dovecot_storage_version)(?![\w-])",
    re.MULTILINE,
)
_DOVECOT_WHY: Final = {
    "!include": "it would bring in lines that neither the check nor the difference shows",
    "auth_debug": "it writes people's passwords into the log",
    "auth_verbose_passwords": "it writes people's passwords into the log",
    "auth_cache": "with it a suspended account could still sign in",
    "dovecot_": "the console sets it, and it must come first",
}

_POSTFIX_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_POSTFIX_TLS_LOG: Final = re.compile(r"\w+_tls_loglevel")
_POSTFIX_REFUSED: Final = tuple(
    (re.compile(names), why)
    for names, why in (
        (r"debug_peer_\w+|\w+_tls_loglevel", "it writes people's passwords into the log"),
        (r"debugger_command", "it runs a program in place of Postfix's own"),
        (
            r"smtpd_(relay|recipient)_restrictions|smtpd_authorized_x\w+_hosts"
            r"|smtpd_upstream_proxy_protocol",
            "it decides who may relay; smtpd_client_restrictions, smtpd_helo_restrictions and "
            "smtpd_sender_restrictions are there for further checks on port 25",
        ),
        (
            r"smtpd_sasl_\w+|smtpd_sender_login_maps|smtpd_tls_auth_only|smtpd_delay_reject",
            "with it a suspended account could still send, or a password travel in clear",
        ),
        (
            r"virtual_(mailbox|alias)_(domains|maps)|virtual_transport|recipient_delimiter"
            r"|smtpd_reject_unlisted_recipient",
            "recipients are those of the accounts in the console",
        ),
        (
            r"smtpd_tls_(chain_files|d?cert_file|d?key_file|ec(cert|key)_file)",
            "the certificate is the console's",
        ),
        (r"myhostname|inet_interfaces|inet_protocols", "it is a setting of the host's page"),
        (
            r"master_service_disable|multi_instance_\w+|alternate_config_directories"
            r"|(queue|data|daemon|command|config|meta|shlib)_directory|mail_owner|setgid_group"
            r"|process_id_directory|(import|export)_environment",
            "the console's helper must find Postfix where the system has it",
        ),
    )
)


def sendmail_snippet(text: str) -> str:
    """An operator's m4 text for `sendmail.mc`, checked, with one newline at its end.

    Words that are refused are refused with m4's quotes taken out as well (sys`'cmd).
    """
    text = _snippet("snippet_sendmail", text)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.isascii() and not _M4_COMMENT.match(line):
            raise CannotRender(
                "snippet_sendmail",
                "not_ascii",
                f"Line {number} of the Sendmail snippet has characters outside ASCII; only comment "
                "lines may.",
                str(number),
            )
        for form in (line, line.replace("`", "").replace("'", "")):
            if found := _M4_REFUSED.search(form):
                raise CannotRender(
                    "snippet_sendmail",
                    "refused_word",
                    f"Line {number} of the Sendmail snippet uses “{found.group(1)}”, which could "
                    "run programs or read files on the host while the configuration is built.",
                    found.group(1),
                )
    return text


def dovecot_snippet(text: str) -> str:
    """An operator's text for `dovecot.conf`, checked, with one newline at its end."""
    text = _snippet("snippet_dovecot", text)
    for number, line in enumerate(text.splitlines(), 1):
        if line.rstrip().endswith("\\"):
            raise CannotRender(
                "snippet_dovecot",
                "continued_line",
                f"Line {number} of the Dovecot snippet ends with a backslash: write it in one "
                "line.",
                str(number),
            )
        if found := _DOVECOT_REFUSED.match(line):
            name = found.group(1)
            why = next(reason for start, reason in _DOVECOT_WHY.items() if name.startswith(start))
            raise CannotRender(
                "snippet_dovecot",
                "refused_setting",
                f"Line {number} of the Dovecot snippet sets “{name}”: {why}.",
                name,
            )
    return text


_COMMENT_BEHIND: Final = re.compile(r"(?:^|\s)#")


def postfix_snippet(text: str) -> str:
    """An operator's text for `main.cf`, checked, with one newline at its end."""
    text = _snippet("snippet_postfix", text)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.isascii() and not line.lstrip().startswith("#"):
            raise _in_postfix(
                number, "not_ascii", "has characters outside ASCII; only comment lines may", number
            )
    seen: set[str] = set()
    for number, name, value in postfix_settings(text):
        if not _POSTFIX_NAME.fullmatch(name):
            raise _in_postfix(
                number, "not_a_setting", "is not “name = value”, as a line of main.cf is", number
            )
        if _COMMENT_BEHIND.search(value):
            # A part of the value, and from 3.10 on a warning at every command.
            raise _in_postfix(
                number, "comment_behind", "has a comment behind its value; it needs its own", number
            )
        if name in seen:
            raise _in_postfix(number, "set_twice", f"sets “{name}” a second time", name)
        seen.add(name)
        if _POSTFIX_TLS_LOG.fullmatch(name) and value in ("0", "1", "2"):
            continue
        why = next((why for pattern, why in _POSTFIX_REFUSED if pattern.fullmatch(name)), "")
        if why:
            raise _in_postfix(number, "refused_postfix", f"sets “{name}”: {why}", name)
    return text


def _in_postfix(number: int, problem: str, what: str, detail: object) -> CannotRender:
    sentence = f"Line {number} of the Postfix snippet {what}."
    return CannotRender("snippet_postfix", problem, sentence, str(detail))


def _snippet(setting: str, text: str) -> str:
    text = text.replace("\r\n", "\n").rstrip()
    if not text:
        return ""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SNIPPET:
        raise CannotRender(setting, "too_long", "A snippet may hold at most 64 KB.")
    for number, line in enumerate(text.split("\n"), 1):
        for character in line:
            # Separators that splitlines() honours but the daemons do not would hide a line.
            if character != "\t" and (not character.isprintable() and character != " "):
                raise CannotRender(
                    setting,
                    "control_character",
                    f"Line {number} of the snippet has a character that cannot be shown "
                    f"(U+{ord(character):04X}): type the line anew.",
                    f"U+{ord(character):04X}",
                )
    return text + "\n"


def _shown(value: str) -> str:
    short = value if len(value) <= 60 else value[:57] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
