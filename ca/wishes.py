"""What is wished of a ceremony: the root, the issuing authority, and what it may sign for.

    wish = Wish(root=AuthorityWish("Example Root", algorithm="p384", days=7305), issuing=…,
                permitted=("example.test",), origin="http://pki.example.test")
    Wish.from_json(wish.to_json()) == wish

`origin` is the public address of revocation lists and issuers' certificates, without a path; it is
burnt into every certificate, so it is http (a client cannot check the certificate of the address
it checks certificates at), and "" means that certificates say nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from ca import names

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")


class BadOrigin(ValueError):
    """`code` says what is wrong with `value`."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(f"{code}: {value!r}")
        self.code = code
        self.value = value


@dataclass(frozen=True)
class AuthorityWish:
    """An authority to be made. `algorithm` is one of `keys.ALGORITHMS`.

    `path_length`: how many authorities may stand below it in a chain (RFC 5280 4.2.1.9); None is
    what the profile says: no limit for a root, 0 for an issuing authority.
    """

    name: str
    algorithm: str
    days: int
    organisation: str = ""
    country: str = ""
    path_length: int | None = None

    def subject(self) -> dict[str, str]:
        fields = {"C": self.country.upper(), "O": self.organisation, "CN": self.name}
        return {field: value for field, value in fields.items() if value}


@dataclass(frozen=True)
class Wish:
    """`csr` is the request of an authority elsewhere; `replaces` the id of the issuer whose
    successor this will be; with `on_token` the issuing authority's key is made on the token."""

    root: AuthorityWish | None = None
    issuing: AuthorityWish | None = None
    permitted: tuple[str, ...] = ()
    origin: str = ""
    csr: str = ""
    replaces: int | None = None
    on_token: bool = False

    @property
    def subtrees(self) -> names.Subtrees:
        return names.parse_subtrees(self.permitted)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"permitted": list(self.permitted)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Wish:
        root, issuing = stored.get("root"), stored.get("issuing")
        return cls(
            root=AuthorityWish(**root) if root else None,
            issuing=AuthorityWish(**issuing) if issuing else None,
            permitted=tuple(stored.get("permitted", ())),
            origin=stored.get("origin", ""),
            csr=stored.get("csr", ""),
            replaces=stored.get("replaces"),
            on_token=stored.get("on_token", False),
        )


def normal_origin(text: str) -> str:
    """`http://host[:port]` without a path, or "" for none."""
    text = text.strip().rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadOrigin("origin_bad", text) from None
    if parts.scheme == "https":
        raise BadOrigin("origin_https", text)
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme != "http" or not plain:
        raise BadOrigin("origin_bad", text)
    try:
        host = names.parse(host).value
    except names.BadName:
        if not _HOST.match(host):
            raise BadOrigin("origin_bad", text) from None
    if "*" in host:
        raise BadOrigin("origin_bad", text)
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}" + (f":{port}" if port and port != 80 else "")


def normal_permitted(texts: Sequence[str]) -> tuple[str, ...]:
    """Domains and networks in their normal form, each once; raises `names.BadName`."""
    return tuple(names.parse_subtrees(texts).texts())
