"""The differences of many hosts, each shown once: what is the same but for names and fingerprints.

groups = grouped(rollout.previews(hosts))
groups[0].previews          # the hosts it is about, in the order given
groups[0].sample            # the one whose text is shown
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploy import changes
from deploy.rollout import Preview

_OF_ONE_CERTIFICATE = re.compile(r"\b[0-9a-f]{16,64}\b")


@dataclass(frozen=True)
class Group:
    previews: tuple[Preview, ...]

    @property
    def sample(self) -> Preview:
        return self.previews[0]


def grouped(previews: Iterable[Preview]) -> list[Group]:
    """The largest group first."""
    found: dict[tuple[object, ...], list[Preview]] = {}
    for preview in previews:
        found.setdefault(_likeness(preview), []).append(preview)
    return sorted((Group(tuple(each)) for each in found.values()), key=lambda g: -len(g.previews))


def _likeness(preview: Preview) -> tuple[object, ...]:
    plan = preview.plan
    assert plan is not None
    files = tuple(
        (change.path, change.kind, change.services, _masked(preview, change.unified_diff))
        for change in plan.changes
    )
    services = tuple(sorted(plan.services.items()))
    sentences = tuple(_masked(preview, changes.sentence(each)) for each in preview.changes)
    return files, services, sentences


def _masked(preview: Preview, text: str) -> str:
    return _OF_ONE_CERTIFICATE.sub("#", text.replace(preview.host.fqdn, "HOST"))
