"""From a snapshot to the text that Sendmail or Postfix, and Dovecot, read.

    from deploy import render
    bundle = render.render(snapshot)

Pure: no clock, no database, no file but the templates shipped beside the code.  Every value goes
through `lines`, which refuses what the target's grammar cannot carry.  Both Dovecot versions are
rendered into every bundle, so that it stays valid when the host's Debian is upgraded.
"""

from __future__ import annotations

from deploy.bundle import TLS_CA, TLS_CHAIN, Bundle
from deploy.render import dovecot23, dovecot24, postfix, sendmail
from deploy.render.lines import CannotRender
from deploy.render.values import Snapshot

__all__ = ["CannotRender", "render"]


def render(snapshot: Snapshot) -> Bundle:
    """The bundle for one host; raises `CannotRender` with a sentence for the operator."""
    mta = postfix if snapshot.host.mta == "postfix" else sendmail
    return Bundle(
        {
            **mta.files(snapshot),
            **dovecot23.files(snapshot),
            **dovecot24.files(snapshot),
            TLS_CHAIN: snapshot.tls.chain_pem,
            TLS_CA: snapshot.tls.ca_pem,
        }
    )
