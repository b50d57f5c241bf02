"""The rules a certificate must meet before it is signed, one function a rule.

    findings = run(tbs, issuer=issuer_certificate)     # [] when every rule is met
    linted = require(tbs, issuer=issuer_certificate)   # or raises LintFailed with the findings
    verdicts(tbs, issuer_certificate)                  # every rule, with what it found
    signing_key.issue(linted)                          # good once

A rule looks at a `template.ToBeSigned` and its issuer (None for a root), and yields a detail for
each thing that breaks it. `section` is where the rule stands. Nothing is signed to find out.
"""

from ca.lints import fields, extensions, alternatives  # noqa: F401, I001 - the order of the rules
from ca.lints.registry import (
    ALL,
    Finding,
    Issuer,
    Lint,
    LintFailed,
    Linted,
    Verdict,
    require,
    run,
    verdicts,
)

__all__ = [
    "ALL",
    "Finding",
    "Issuer",
    "Lint",
    "LintFailed",
    "Linted",
    "Verdict",
    "require",
    "run",
    "verdicts",
]
