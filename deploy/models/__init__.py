"""Mail hosts, what was deployed to them, and the jobs that did it.

A `Host` is known by its name and reached by its address; a `Generation` is one whole configuration
that was put on it; a `Rollout` puts generations on hosts, one `HostRollout` for each, whose
`RolloutStep` rows are written as the steps happen. `HostJob` is any other work on a host that takes
longer than a page: making keys, checking the connection, a certificate, the practice host.
`AccountPush` says up to which change of the accounts a host is current.
"""

from deploy.models.generations import Generation, GenerationQuerySet
from deploy.models.hosts import Host, HostQuerySet
from deploy.models.jobs import HostJob, HostJobQuerySet
from deploy.models.pushes import AccountPush
from deploy.models.rollouts import HostRollout, HostRolloutQuerySet, Rollout, RolloutStep
from deploy.models.watching import Alarm, DriftedFile, HostNotice, HostNoticeQuerySet, Probing

__all__ = [
    "AccountPush",
    "Alarm",
    "DriftedFile",
    "Generation",
    "GenerationQuerySet",
    "Host",
    "HostJob",
    "HostJobQuerySet",
    "HostNotice",
    "HostNoticeQuerySet",
    "HostQuerySet",
    "HostRollout",
    "HostRolloutQuerySet",
    "Probing",
    "Rollout",
    "RolloutStep",
]
