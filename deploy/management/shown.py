"""A plan, a proof and a rollout as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _

from deploy import changes, sentences
from deploy.models import RolloutStep
from deploy.plan import FileChange, Plan
from deploy.rollout import Preview

KINDS = {"added": "+", "changed": "~", "removed": "-"}


def plan_lines(preview: Preview, *, diff: bool = False) -> Iterator[str]:
    """All of it, file by file."""
    yield from summary(preview)
    plan = preview.plan
    if plan is None or plan.is_empty:
        return
    yield _("Files:")
    for change in plan.changes:
        yield f"  {KINDS[change.kind]} {change.path}{_read_by(change)}"
        if diff:
            yield from (f"      {line}" for line in change.unified_diff.splitlines())
    yield _("Proved afterwards:")
    for probe in plan.probes:
        yield f"  {sentences.PORTS[probe.protocol]}: {sentences.KINDS[probe.kind]}"


def summary(preview: Preview) -> Iterator[str]:
    """What changes, what it costs, and what stands against it."""
    host, plan = preview.host.fqdn, preview.plan
    for objection in preview.objections:
        yield f"{host}: {objection}"
    if plan is None:
        return
    if plan.is_empty:
        yield _("%(host)s is already as it should be: nothing differs.") % {"host": host}
    else:
        yield _("%(host)s would get:") % {"host": host}
        for change in preview.changes:
            yield f"  {changes.sentence(change)}"
        yield from _services(plan)
    yield from drift_lines(plan.drift)


def drift_lines(drift: Iterable[str]) -> Iterator[str]:
    paths = list(drift)
    if paths:
        yield _("Changed on the server itself; this would be overwritten:")
        yield from (f"  {path}" for path in paths)


def probe_line(kind: str, protocol: str, ok: bool, evidence: str) -> str:
    what = sentences.step(f"probe.{kind}.{protocol}")
    return marked(ok, what if ok or not evidence else f"{what}: {evidence}")


def step_line(step: RolloutStep) -> str:
    text = sentences.step(step.name)
    if detail := _detail(step):
        text = f"{text}: {detail}"
    if step.ms is not None:
        text = f"{text} ({step.ms} ms)"
    return marked(step.ok, text)


def _detail(step: RolloutStep) -> str:
    if step.name.startswith("probe."):
        return "" if step.ok else step.detail
    if step.ok is False and "." not in step.name:
        return ""  # the finer step said it, and the end says it again
    return step.detail


def marked(ok: bool | None, text: str) -> str:
    mark = "…" if ok is None else "✓" if ok else "✗"
    return f"  {mark} {text}"


def _read_by(change: FileChange) -> str:
    names = ", ".join(str(changes.SERVICES[service]) for service in change.services)
    return f" ({names})" if names else ""


def _services(plan: Plan) -> Iterator[str]:
    for service, action in plan.services.items():
        line = f"  {changes.SERVICES[service]}: {sentences.ACTIONS[action]}"
        if seconds := plan.port_refused.get(service, 0.0):
            refused = _("its ports refuse for about %(seconds)s s") % {"seconds": f"{seconds:g}"}
            line = f"{line}; {refused}"
        yield line
