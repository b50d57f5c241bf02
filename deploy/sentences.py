"""What codes and steps are called on the page. Rows store codes and the daemons' own words; the
words around them are chosen when they are shown, in the reader's language.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol as Shape
from typing import TypeAlias, TypeVar

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from deploy import states
from deploy.plan import NAMES
from deploy.practice import wording
from deploy.render import CannotRender

Text: TypeAlias = str | Promise

PROBLEMS: Mapping[str, Text] = {
    # before anything was asked of the host
    "unreachable": _("The server does not answer at its address: %(detail)s"),
    "host_key": _(
        "Another machine answers at this address: its SSH key is not the one you confirmed. If the "
        "server was installed anew, remove it here and add it again."
    ),
    "login": _(
        "The server does not accept the console's key. Run the command on the server's page again."
    ),
    "broken": _("The connection ended in the middle: %(detail)s"),
    # refused
    "refused": _("The server's own check refused the new configuration: %(detail)s"),
    "base_moved": _(
        "Something else changed the server in the meantime. Look at the difference again, then put "
        "it live."
    ),
    "drifted": _(
        "Files on the server itself were changed since somebody looked at them: %(detail)s. "
        "Nothing was touched. Look at what differs, then put it live."
    ),
    "busy": _("The server is busy with another request. Try again in a minute."),
    "accounts": _("The accounts could not be copied to the server: %(detail)s"),
    "stale": _(
        "The console was away and nobody went on with it for too long. Look at the difference "
        "again, then put it live."
    ),
    "host_error": _("The server's helper refused: %(detail)s"),
    "key_mismatch": _("The certificate does not belong to the key on the server: %(detail)s"),
    # of a rollout for many hosts
    "stopped": _("%(detail)s failed first, so it was not begun here."),
    "cancelled": _("%(detail)s called it off before it began here."),
    "missed": _(
        "No worker was there at the time that was chosen, nor within an hour of it, so it was not "
        "begun. Choose another time, or put it live now."
    ),
    # after the switch
    "switch_failed": _("A daemon did not come back with the new configuration: %(detail)s"),
    "probe_failed": _("The running daemons did not prove the new configuration: %(detail)s"),
    "worker_lost": _(
        "The worker ended in the middle. The server is on the configuration it had before."
    ),
    "went_back": _("The server heard nothing from the console in time and went back by itself."),
    "rollback": _("Going back failed: %(detail)s"),
    "silent": _(
        "The server has not answered since the switch. It goes back by itself when it hears "
        "nothing; look at it, then check the connection."
    ),
    # jobs
    "no_helper": _("The helper on the server did not answer as expected: %(detail)s"),
    "other_host": _("The server's helper belongs to another console or another host entry."),
    "other_than_seen": _(
        "What giving it back would do is different from what you looked at. Nothing was touched: "
        "look again, then decide."
    ),
    "not_given_back": _(
        "It could not be given back, and the console's configuration is live again: %(detail)s"
    ),
    "came_back": _(
        "The server heard nothing from the console in time, and took the console's configuration "
        "again by itself. Try again."
    ),
    "order_refused": _("The certificate was refused: %(detail)s"),
    "practice": _("The practice host could not be made: %(detail)s"),
    "internal": _("Something went wrong in the console: %(detail)s"),
    # accounts
    "ahead": _(
        "The server knows newer accounts (change %(detail)s) than this console: the console was "
        "probably restored from a backup. Nothing is sent until you decide."
    ),
    "too_many_removed": _(
        "This would remove many mailboxes of one domain at once (%(detail)s). Nothing is sent "
        "until you say that it is meant."
    ),
}

STEPS: Mapping[str, Text] = {
    "connect": _("Connected to the server"),
    "resume": _("Another worker took over"),
    "stage": _("Configuration copied to the server"),
    "accounts": _("Accounts copied to the server"),
    "validate": _("Checked on the server"),
    "switch": _("Switched to the new generation"),
    "probe": _("Proved from outside"),
    "login": _("A login made for the proof"),
    "confirm": _("Kept: the server will not go back by itself any more"),
    "rollback": _("Gone back to the generation before"),
    "wait": _("Waiting for the server"),
}

KINDS: Mapping[str, Text] = {
    "starttls": _("STARTTLS serves the certificate just deployed"),
    "tls": _("TLS serves the certificate just deployed"),
    "auth_right": _("The right password opens"),
    "auth_wrong": _("A wrong password is refused"),
    "auth_in_clear": _("No login without TLS"),
    "unknown_recipient": _("An unknown recipient is refused at once"),
    "postmaster": _("Mail for the postmaster is taken"),
    "relay": _("Relaying for strangers is refused"),
    "delivery": _("A message arrives and can be read"),
    "old_tls": _("TLS older than 1.2 is refused"),
    "weak_tls": _("Weak or anonymous encryption is refused"),
}

PORTS: Mapping[str, str] = {
    "smtp": "SMTP 25",
    "submission": "SMTP 587",
    "submissions": "SMTP 465",
    "imap": "IMAP 143",
    "imaps": "IMAPS 993",
    "pop3": "POP3 110",
    "pop3s": "POP3S 995",
}

OBJECTIONS: Mapping[str, Text] = {
    "fqdn": _(
        "The server's own name is not fully qualified, which costs Sendmail a minute at each "
        "start. Add a line to /etc/hosts there (address, full name, short name), then check again."
    ),
    "no_sendmail": _("Sendmail is not installed on the server."),
    "no_postfix": _("Postfix is not installed on the server."),
    "postfix_version": _("Postfix %(detail)s is too old: 3.7 and later are supported."),
    "wrong_mta": _(
        "%(detail)s is installed on the server now, but it is set up here for another mail server. "
        "Say on the server's page that it runs %(detail)s, or install the other one there and "
        "check the connection."
    ),
    "no_dovecot": _("Dovecot is not installed on the server."),
    "dovecot_version": _("Dovecot %(detail)s is not supported: 2.3 and 2.4 are."),
    "no_certificate": _("The server has no certificate yet. Ask for one first."),
    "domain_is_host": _(
        "The domain %(detail)s is this server's own name: its mailboxes would be refused, so it "
        "is put on no host. Give the server a name of its own, such as mail.%(detail)s."
    ),
}


ACTIONS: Mapping[str, Text] = {
    "unchanged": pgettext_lazy("service", "not touched"),
    "reload": pgettext_lazy("service", "reloads, sessions go on"),
    "restart": pgettext_lazy("service", "restarts"),
    "start": pgettext_lazy("service", "starts"),
}

DONE: Mapping[str, Text] = {
    "reloaded": pgettext_lazy("service", "reloaded"),
    "restarted": pgettext_lazy("service", "restarted"),
    "started": pgettext_lazy("service", "started"),
}

STATE_KINDS: Mapping[str, str] = {
    "planned": "idle",
    "staging": "busy",
    "validating": "busy",
    "switching": "busy",
    "probing": "busy",
    "confirmed": "ok",
    "refused": "warning",
    "rolled_back": "warning",
    "rollback_failed": "danger",
}

WHAT_NEXT: Mapping[str, Text] = {
    "refused": _("Nothing that runs was touched. Correct what is said above, then try again."),
    "rolled_back": _(
        "The configuration from before is live again, and mail goes on. Correct what is said "
        "above, then try again."
    ),
    "rollback_failed": _(
        "Look at the server now: log in there, see which of its mail server and Dovecot does not "
        "run and why, and put that right. Then type there as root, which finishes going back: "
        "python3 -I /usr/local/lib/mailadmin/hostctl recover"
    ),
}

NOT_BEGUN = _("Nothing was touched. It can be put live as before, alone or with others.")


def what_next(state: str, problem: str) -> str:
    """What to do about a host that ended so; empty when nothing is to be done."""
    if problem in states.NOT_BEGUN:
        return str(NOT_BEGUN)
    return str(WHAT_NEXT.get(state, ""))


CANNOT_RENDER: Mapping[str, Text] = {
    "not_a_host_name": _(
        "“%(detail)s” is not a host name: use lower-case letters, digits, hyphens and dots, as in "
        "mail.example.com."
    ),
    "not_fully_qualified": _(
        "“%(detail)s” is not a full host name: mail servers need one with a domain, as in "
        "mail.example.com."
    ),
    "not_an_address": _("“%(detail)s” is not an address to listen on."),
    "out_of_range": _("The message size must be between 1 and 2047 MB."),
    "not_a_word": _("“%(detail)s” cannot be written into a configuration file."),
    "not_ascii": _("Line %(detail)s has characters outside ASCII; only comment lines may."),
    "refused_word": _(
        "“%(detail)s” could run programs or read files on the server while the configuration is "
        "built."
    ),
    "continued_line": _("Line %(detail)s ends with a backslash: write it in one line."),
    "refused_setting": _(
        "“%(detail)s” may not be set here: it would write passwords into the log, let suspended "
        "accounts in, hide lines from the check, or must come first."
    ),
    "not_a_setting": _("Line %(detail)s is not “name = value”, as a line of main.cf is."),
    "set_twice": _("“%(detail)s” is set twice."),
    "comment_behind": _(
        "Line %(detail)s has a comment behind its value: write it on a line of its own."
    ),
    "refused_postfix": _(
        "“%(detail)s” may not be set here: the console sets it, or it would write passwords into "
        "the log, let strangers relay or suspended accounts send, or hide Postfix from the check. "
        "For more checks on port 25 there are smtpd_client_restrictions, "
        "smtpd_helo_restrictions and smtpd_sender_restrictions."
    ),
    "too_long": _("At most 64 KB."),
    "control_character": _(
        "There is a character that cannot be shown (%(detail)s): type the line anew."
    ),
}


def cannot_render(error: CannotRender) -> str:
    sentence = CANNOT_RENDER.get(error.problem)
    return str(sentence) % {"detail": error.detail[:60]} if sentence else str(error)


def problem(code: str, detail: str = "") -> str:
    """The sentence of a stored problem; a code without a sentence shows its words alone."""
    if not code:
        return ""
    if code == "practice":
        detail = wording.error(detail, detail)
    sentence = PROBLEMS.get(code) or OBJECTIONS.get(code)
    return str(sentence) % {"detail": detail} if sentence else f"{code}: {detail}"


JOB_STEPS: Mapping[str, Text] = {
    "key": _("Making a key for the console"),
    "host_key": _("Reading the server's key"),
    "connect": _("Connecting to the server"),
    "csr": _("The server makes its key"),
    "sign": _("The authority signs"),
    "look": _("Asking what was there before, and looking at the queue"),
    "leave.deadman": _("The server would come back by itself"),
    "leave.hold": _("Holding queued mail that would bounce"),
    "leave.pointer": _("Putting back the files from before"),
    "leave.dovecot": _("Dovecot, as it was before"),
    "leave.bridge": _("The login bridge stops"),
    "leave.sendmail": _("Sendmail, as it was before"),
    "leave.postfix": _("Postfix, as it was before"),
}


def job_step(name: str) -> str:
    return str(JOB_STEPS[name]) if name in JOB_STEPS else wording.step(name)


def step(name: str) -> str:
    """What a line of a rollout's log is called; the helper's own finer steps keep their names."""
    if name in STEPS:
        return str(STEPS[name])
    first, _dot, rest = name.partition(".")
    if first == "probe":
        kind, _dot, protocol = rest.partition(".")
        if kind in KINDS and protocol in PORTS:
            return gettext("%(port)s: %(what)s") % {
                "port": PORTS[protocol],
                "what": KINDS[kind],
            }
    if first in STEPS and rest:
        return f"{STEPS[first]}: {rest}"
    return name


_SILENT = ("Connection refused", "timed out", "connection closed", "unreachable", "No route")


def probe_failure(kind: str, protocol: str, evidence: str) -> str:
    """What a probe that failed says, in a line."""
    named = {"port": PORTS[protocol], "what": KINDS[kind]}
    if any(words in evidence for words in _SILENT):
        return gettext("%(port)s does not answer") % named
    if evidence.startswith("another certificate"):
        return gettext("%(port)s serves another certificate than deployed") % named
    if evidence.startswith("certificate refused"):
        return gettext("%(port)s serves a certificate that mail programs refuse") % named
    if evidence.startswith("agreed: "):
        return gettext("%(port)s agrees to old or weak encryption") % named
    if kind == "delivery" and evidence.startswith("taken"):
        return gettext("%(port)s takes a message that then does not arrive") % named
    return gettext("%(port)s, no longer so: %(what)s") % named


_REFUSED_FOR: Mapping[str, Text] = {
    "expired": _("It has expired: ask for a new one, and put it live."),
    "not yet valid": _("It is not valid yet: compare the clocks of the server and of the console."),
    "match": _(
        "It is for another name: look at the names of the certificate, and ask for a new one."
    ),
    "issuer": _(
        "Its chain does not lead to your root: put the configuration live again, with the chain."
    ),
}


def after_probe_failure(protocol: str, evidence: str, mta: str = "sendmail") -> str:
    """What to do about it."""
    if any(words in evidence for words in _SILENT):
        sentence = gettext(
            "Look on the server whether %(service)s runs, and start it. If it runs, something "
            "between here and there lets nobody through."
        )
    elif evidence.startswith("another certificate"):
        sentence = gettext(
            "Restart %(service)s on the server. If that does not help, look at what was changed "
            "on the server itself, then put the configuration live again."
        )
    elif evidence.startswith("certificate refused"):
        known = (str(text) for words, text in _REFUSED_FOR.items() if words in evidence)
        sentence = next(known, "") or gettext(
            "Look at the dates and names of the certificate, and ask for a new one."
        )
    elif evidence.startswith("taken"):
        sentence = gettext(
            "Look at the queue on the server: it says why the message waits. Mostly Dovecot's LMTP "
            "does not answer there."
        )
    else:
        sentence = gettext(
            "Look at what was changed on the server itself, then put the configuration live again."
        )
    service = NAMES[mta] if PORTS[protocol].startswith("SMTP") else "Dovecot"
    return sentence % {"service": service}


def shortened(evidence: str, fingerprint: str) -> str:
    """With the beginning of the served certificate's fingerprint, which is enough to compare."""
    return evidence.replace(fingerprint, f"{fingerprint[:16]}…") if fingerprint else evidence


class OfPort(Shape):
    @property
    def port(self) -> int: ...
    @property
    def protocol(self) -> str: ...


Row = TypeVar("Row", bound=OfPort)


def by_port(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """What was asked of each port, the ports in the order of mail: 25, 587, 465, IMAP, POP3."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.protocol, []).append(row)
    return [(name, found[protocol]) for protocol, name in PORTS.items() if protocol in found]
