"""The operator's sentences for the codes that the pure modules and the verbs use.

    sentence("csr_signature", {})      why, and what to do next, in the reader's language
    finding(lints.Finding(...))        one broken rule

A row keeps the code and its detail, never the sentence: each reader has a language of his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from ca.lints import Finding
from ca.wording import (
    authorities,
    batches,
    commands,
    importing,
    profiles,
    renewal,
    requests,
    tokens,
    ways,
)
from ca.wording.labels import (
    LABELS,
    LINTS,
    NAME_KINDS,
    PROFILES,
    PURPOSES,
    REASONS,
    RULES,
    STEPS,
)
from core import commands as terminal

__all__ = [
    "LABELS",
    "LINTS",
    "NAME_KINDS",
    "PROFILES",
    "PURPOSES",
    "REASONS",
    "RULES",
    "SENTENCES",
    "STEPS",
    "finding",
    "sentence",
]

# One table a subject; a code stands in one of them only.
TABLES = (
    requests.SENTENCES,
    batches.SENTENCES,
    profiles.SENTENCES,
    authorities.SENTENCES,
    tokens.SENTENCES,
    commands.SENTENCES,
    terminal.SENTENCES,
    importing.SENTENCES,
    renewal.SENTENCES,
    ways.SENTENCES,
)
SENTENCES: Mapping[str, Any] = {code: text for table in TABLES for code, text in table.items()}

# What the steps of ceremonies are called, by subject.
STEP_TABLES = (STEPS, authorities.STEPS, importing.STEPS)


def step(code: str) -> str:
    """A ceremony's step in the reader's language."""
    return str(next((table[code] for table in STEP_TABLES if code in table), code))


def sentence(code: str, detail: Mapping[str, Any] | None = None) -> str:
    """The sentence of `code`, or the code itself for one this version does not know."""
    detail = dict(detail or {})
    if "findings" in detail:
        detail["findings"] = gettext("; ").join(
            finding(Finding(lint, section, text)) for lint, section, text in detail["findings"]
        )
    known = SENTENCES.get(code)
    if known is None:
        return code
    try:
        text = str(known) % detail
    except (KeyError, TypeError):
        return str(known)
    # What was refused may hold half a character ("\ud800" in JSON), which no page can say.
    return text.encode("utf-8", "replace").decode()


def finding(found: Finding) -> str:
    """One broken rule with its section: "… (RFC 5280 4.2.1.6)"."""
    known = LINTS.get(found.lint)
    text = str(known) % {"detail": found.detail} if known is not None else found.lint
    return f"{text} ({found.section})"
