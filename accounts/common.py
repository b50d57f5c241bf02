"""The list of the most used passwords: Django's own, 19,640 entries, read once a process."""

import gzip
from functools import cache
from pathlib import Path

from django.contrib.auth import password_validation


@cache
def common_passwords() -> frozenset[str]:
    path = Path(password_validation.__file__).with_name("common-passwords.txt.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return frozenset(line.strip().lower() for line in lines)
