"""Makes the helper's one file and the text that installs it.  Used by the console only.

build()                     the zipapp; the same bytes for the same sources
installer("ssh-ed25519 AAAA...")    a shell script to paste on a host as root
uninstaller()               the way back
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import textwrap
import zipfile
from functools import lru_cache
from pathlib import Path

from . import paths

HERE = Path(__file__).parent
_LEFT_OUT = {"build.py"}
_SHEBANG = b"#!/usr/bin/python3 -I\n"
_MAIN = b"""import sys
from hostctl.__main__ import main

sys.exit(main(sys.argv[1:]))
"""
_KEY = re.compile(
    r"(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/]{40,4096}={0,2})(?: .*)?"
)


@lru_cache(maxsize=1)
def build() -> bytes:
    """Stored, not compressed: zlib's versions differ, and 100 kB are nothing."""
    sources = {f"hostctl/{p.name}": p.read_bytes() for p in HERE.glob("*.py")}
    files = {name: data for name, data in sources.items() if Path(name).name not in _LEFT_OUT}
    files["__main__.py"] = _MAIN
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return _SHEBANG + out.getvalue()


def public_key(text: str) -> str:
    """The key's type and its bytes, without a comment.  Raises ValueError."""
    found = _KEY.fullmatch(text.strip())
    if found is None:
        raise ValueError("not an OpenSSH public key")
    return f"{found.group(1)} {found.group(2)}"


def installer(key: str) -> str:
    """The shell text that makes a host ready for the console with this public key.

    It may be run again: a new helper replaces the old, another key replaces the old one and
    makes the host forget whose it was.
    """
    text = (HERE / "install.sh").read_text()
    # Packed before it is text: the whole is pasted, and packed once more text shrinks little.
    packed = base64.b64encode(gzip.compress(build(), 9, mtime=0)).decode("ascii")
    helper = "\n".join(textwrap.wrap(packed, 120))
    for token, value in {**_names(), "@KEY@": public_key(key), "@BASE64@": helper}.items():
        text = text.replace(token, value)
    return text


def uninstaller() -> str:
    """Gives the host back what was there before the console; mail and accounts stay."""
    text = (HERE / "uninstall.sh").read_text()
    for token, value in _names().items():
        text = text.replace(token, value)
    return text


def _names() -> dict[str, str]:
    return {
        "@HELPER@": paths.HELPER,
        "@STATE@": paths.STATE,
        "@RUN@": paths.RUN,
        "@MAIL@": paths.MAIL,
        "@ADMIN@": paths.ADMIN_USER,
        "@VMAIL@": paths.VMAIL_USER,
        "@UID@": str(paths.VMAIL_UID),
        "@GID@": str(paths.VMAIL_GID),
    }
