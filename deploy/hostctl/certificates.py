"""Whether a staged certificate would work: no daemon's own checker looks.

Dovecot's `doveconf` accepts a missing or mismatched key and then resets every TLS
connection; Sendmail starts without STARTTLS.  So: the pair, the dates, the chain up to the
bundle's own authorities, and the name clients will ask for.
"""

from __future__ import annotations

import time
from pathlib import Path

from . import paths
from .host import Host
from .keys import OPENSSL
from .wire import Refused


def check(host: Host, folder: Path, name: str) -> str:
    """Refused with one sentence, or what the certificate is: subject and last day."""
    chain, key = folder / "tls/chain.pem", folder / paths.KEY_FILE
    authorities = folder / "tls/ca.pem"
    if not chain.is_file():
        raise Refused("refused", "The generation has no certificate.")
    import ssl  # a fifth of the helper's start, and every request starts it anew

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
    except ssl.SSLError as failure:
        if "KEY_VALUES_MISMATCH" in str(failure):
            raise Refused(
                "refused", "The certificate was not issued for this host's key."
            ) from None
        raise Refused("refused", f"The certificate or its key cannot be read: {failure}.") from None
    leaf = host.run([OPENSSL, "x509", "-in", str(chain), "-noout", "-subject", "-enddate"])
    if leaf.status != 0:
        raise Refused("refused", f"The certificate cannot be read: {leaf.words}")
    argv = [OPENSSL, "verify", "-purpose", "sslserver", "-untrusted", str(chain)]
    argv += ["-CAfile", str(authorities)] if authorities.is_file() else []
    argv += ["-verify_hostname", name] if name else []
    verified = host.run([*argv, str(chain)])
    if verified.status != 0:
        reason = _reason(verified.words)
        if "yet valid" in reason or "expired" in reason:
            reason += _clocks(host, chain)
        raise Refused("refused", f"The certificate does not verify: {reason}")
    if not name:
        raise Refused("refused", "This host has no fully qualified name for a certificate.")
    return leaf.out.decode("utf-8", "replace").replace("\n", " ").strip()


def not_after(checked: str) -> float:
    """Its last second on the clock of `time.time`, of what `check` returned."""
    import ssl

    return ssl.cert_time_to_seconds(checked.rpartition("notAfter=")[2])


def _clocks(host: Host, chain: Path) -> str:
    """A host whose clock is wrong refuses a good certificate: so both times are named."""
    told = host.run([OPENSSL, "x509", "-in", str(chain), "-noout", "-startdate", "-enddate"])
    dates = dict(line.split("=", 1) for line in told.out.decode().splitlines() if "=" in line)
    now = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime())
    return (
        f" It is good from {dates.get('notBefore')} to {dates.get('notAfter')},"
        f" and this host's clock says {now}."
    )


def _reason(words: str) -> str:
    """`error 10 at 0 depth lookup: certificate has expired` without its number and depth."""
    for part in words.split(" / "):
        if part.startswith("error ") and "lookup: " in part:
            return part.partition("lookup: ")[2] + "."
    return words
