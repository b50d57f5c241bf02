"""The host's helper: what root does on a mail server, and nothing else.

A small package of the standard library alone (Python 3.9 and later) that is shipped
to a host as one file, `/usr/local/lib/mailadmin/hostctl`, a zipapp.  One request
arrives on standard input (a JSON header in one line, then a payload), answers leave
on standard output as JSON lines.  `docs/hostctl.md` describes the protocol.
"""

PROTOCOL = 1
VERSION = "1"
