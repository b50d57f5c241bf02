"""Rollouts that a command asked for: carried out here or followed, each step said as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from core import inline
from core.commands import code_of
from core.errors import Refusal
from deploy import api_rollouts, carriage, sentences
from deploy.management.base import DeployCommand, Refused, not_in_time
from deploy.management.shown import step_line
from deploy.models import Generation, Host, HostRollout, Rollout, RolloutStep
from deploy.rollout import Drifted

NOTHING_TO_DO = "nothing_to_do"
PATIENCE = 660.0
"""A rollout gives up after ten minutes by itself."""


class RolloutCommand(DeployCommand):
    """Ends with status 0 only where every host is confirmed, or needed nothing."""

    permission = "deploy.rollout"
    patience = PATIENCE

    def refuse(self, refusal: Refusal) -> NoReturn:
        if isinstance(refusal, Drifted):
            look = _("See it with ./run manage drift HOST --diff; --overwrite says that it may go.")
            self.fail(f"{refusal.sentence} {look}", code_of(refusal))
        super().refuse(refusal)

    def followed(self, rollout: Rollout, others: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """The rollout at its good end; anything else is the command's failure, with all of it.
        `others` are hosts that needed nothing."""
        rows = list(rollout.hosts.select_related("host", "generation").order_by("pk"))
        log = _Log(self, rows)
        try:
            missing = self.carried_out(
                rows, carriage.carry_out, ends=lambda row: not row.is_open, look=log.look
            )
        except KeyboardInterrupt:
            raise Refused(
                "interrupted",
                _(
                    "Interrupted. What was asked for goes on: a running console takes it over "
                    "within half a minute, a stopped one when it starts. Until then a server that "
                    "hears nothing goes back by itself after two minutes."
                ),
            ) from None
        result = outcome(rollout)
        result["hosts"] += others
        for row in rows:
            for line in ending(row):
                self.tell(line)
        if not result["confirmed"]:
            self._fail(rows, missing, result)
        return result

    def _fail(
        self, rows: Sequence[HostRollout], missing: list[BaseException], result: dict[str, Any]
    ) -> None:
        for error in missing:
            if isinstance(error, inline.NotCarriedOut):
                refusal = not_in_time(error)
                self.fail(refusal.sentence, refusal.code, **result)
        failed = [row for row in rows if row.state != HostRollout.CONFIRMED]
        sentence = _("Not live: %(hosts)s.") % {"hosts": ", ".join(str(row.host) for row in failed)}
        if self._in_json and len(failed) == 1:
            sentence = f"{sentence} {problem_of(failed[0])}".strip()
        self.fail(sentence, "not_confirmed", **result)


class _Log:
    """Each step said once, when it is over."""

    def __init__(self, command: DeployCommand, rows: Sequence[HostRollout]) -> None:
        self.command = command
        self.rows = [row.pk for row in rows]
        self.names = {row.pk: row.host.fqdn for row in rows}
        self.said: set[int] = set()
        self.last: int | None = None

    def look(self) -> None:
        steps = RolloutStep.objects.filter(host_rollout__in=self.rows).exclude(pk__in=self.said)
        over = [step for step in steps if step.ok is not None or step.name == "wait"]
        for step in finer_first(over):
            if step.host_rollout_id != self.last:
                self.last = step.host_rollout_id
                self.command.tell(f"{self.names[step.host_rollout_id]}:")
            self.command.tell(step_line(step))
            self.said.add(step.pk)


def finer_first(steps: Sequence[RolloutStep]) -> Iterator[RolloutStep]:
    """As they ended: `validate.m4` before the `validate` that it is part of."""
    outer: RolloutStep | None = None
    for step in steps:
        if outer is not None and not step.name.startswith(f"{outer.name}."):
            yield outer
            outer = None
        if "." in step.name:
            yield step
        else:
            outer = step
    if outer is not None:
        yield outer


def outcome(rollout: Rollout) -> dict[str, Any]:
    """For `--json`: the API's rollout, host by host."""
    made = api_rollouts.rollout_out(rollout).model_dump(mode="json")
    return {
        "confirmed": all(each["state"] == HostRollout.CONFIRMED for each in made["hosts"]),
        "rollout": made["id"],
        "starts_at": made["starts_at"],
        "stopped_at": made["stopped_at"],
        "hosts": made["hosts"],
    }


def ending(row: HostRollout) -> Iterator[str]:
    names = {"host": row.host.fqdn, "number": row.generation.number}
    if row.state == HostRollout.CONFIRMED:
        sentence = _("%(host)s is on generation %(number)s, confirmed after %(seconds)s s.")
        yield sentence % {**names, "seconds": f"{row.seconds or 0.0:.1f}"}
        return
    yield f"{row.host.fqdn}: {row.get_state_display()}. {problem_of(row)}".strip()


def problem_of(row: HostRollout) -> str:
    parts = (
        sentences.problem(row.problem, row.problem_detail),
        sentences.what_next(row.state, row.problem),
    )
    return " ".join(part for part in parts if part)


def unchanged(host: Host, live: Generation | None) -> dict[str, Any]:
    """For `--json`: a host that needed nothing, in the place of its rollout."""
    return {
        "host": host.fqdn,
        "state": NOTHING_TO_DO,
        "generation": live.number if live else None,
    }
