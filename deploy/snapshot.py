"""From rows to the frozen values that rendering works on: the only reader of the ca's rows.

    snapshot = of_host(host)                # None as long as the host has no certificate
    bundle = rendered(snapshot)

Rendering is pure and takes some milliseconds; the change bar asks on every page, so the last few
bundles are remembered by their snapshot.
"""

from functools import lru_cache

from ca.models import Certificate
from deploy.bundle import Bundle
from deploy.models import Host
from deploy.render import render
from deploy.render.values import HostConfig, Snapshot, TlsFiles

KEY_ID_LENGTH = 32
"""hostctl names a key by the first half of the SHA-256 that ca stores whole."""

WITH_CHAIN = "certificate__issuer__parent"
"""For `select_related` where many hosts are looked at."""
MOST_REMEMBERED = 1000
_remembered: dict[tuple[object, ...], TlsFiles] = {}


def config_of(host: Host) -> HostConfig:
    """Own lines for an MTA that the host does not have stay out of it."""
    return HostConfig(
        fqdn=host.fqdn,
        message_size_mb=host.message_size_mb,
        mta=host.mta,
        family=host.family,
        snippet_dovecot=host.snippet_dovecot,
        **{f"snippet_{host.mta}": getattr(host, f"snippet_{host.mta}")},
    )


def of_host(host: Host) -> Snapshot | None:
    """What the host should be now; None when it cannot be put live yet (no certificate)."""
    certificate = host.certificate
    if certificate is None:
        return None
    return Snapshot(host=config_of(host), tls=_tls(certificate))


def _tls(certificate: Certificate) -> TlsFiles:
    """Remembered by what it is made of, for following a chain costs several queries."""
    parent = certificate.issuer.parent
    key = (
        certificate.fingerprint_sha256,
        certificate.issuer.certificate_id,
        parent.certificate_id if parent else None,
    )
    found = _remembered.get(key)
    if found is None:
        found = TlsFiles(
            chain_pem=certificate.fullchain_pem.encode("ascii"),
            # Sendmail sends what it finds here behind its own certificate, and nothing else.
            ca_pem=(certificate.chain_pem + certificate.root_pem).encode("ascii"),
            key_id=certificate.key_id[:KEY_ID_LENGTH],
            fingerprint_sha256=certificate.fingerprint_sha256,
        )
        if len(_remembered) > MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = found
    return found


@lru_cache(maxsize=600)
def rendered(snapshot: Snapshot) -> Bundle:
    """Raises deploy.render.CannotRender with a sentence for the operator."""
    return render(snapshot)
