"""Switching between generations, and back.

    switch      journal, dead-man, pointer, links, daemons, journal
    confirm     the console has proved the new one: the dead-man is called off; what we held in
                the queue while the host was not ours is let go
    roll back   to exactly the generation the journal names; daemons that were down
                before are down again

To generation 0, what was there before the console, queued mail that would bounce there is held
first, while nothing new can come.

Three ends: `confirmed`, `rolled_back`, `rollback_failed`.  Every step may be the last one
before a power cut, and each is harmless to repeat: `recover` brings both daemons to one
side at the next start of the helper, at boot, or when the dead-man finds the switch gone.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from . import before, deadman, drifted, durable, generations, holding, origins, paths, services
from .host import Host
from .journal import Entry, Journal, boot_id, uptime
from .wire import Refused, sentence, step

DEADLINE_LEAST, DEADLINE_MOST = 2, 3600
RECOVER = f"python3 -I {paths.HELPER} recover"


def switch(host: Host, *, generation: int, base: int, deadline: int) -> Dict[str, Any]:
    if not DEADLINE_LEAST <= deadline <= DEADLINE_MOST:
        raise Refused(
            "bad_request",
            f"The deadline must be {DEADLINE_LEAST} to {DEADLINE_MOST} seconds.",
        )
    journal = Journal(host.layout.journal)
    open_one = journal.last()
    if open_one is not None and open_one.is_open:
        if open_one.state == "rollback_failed":
            raise Refused(
                "rollback_failed",
                "An earlier rollback did not succeed on this host. Put right what was in its way, "
                f"then type as root there: {RECOVER}",
            )
        raise Refused(
            "pending",
            f"Generation {open_one.generation} is live but not confirmed yet.",
            generation=open_one.generation,
        )
    live = generations.current(host)
    if (live or 0) != base:
        raise Refused(
            "base_moved", f"This host is on generation {live or 0}, not {base}.", generation=live
        )
    values = generations.manifest(host, generation)
    if values is None:
        raise Refused("not_staged", f"Generation {generation} is not on this host.")
    if generation and not values.get("validated"):
        raise Refused("not_validated", f"Generation {generation} has not passed validation.")
    if values.get("not_after", math.inf) <= time.time():
        raise Refused(
            "not_validated",
            f"The certificate of generation {generation} has expired since it was checked.",
        )
    if generation == base:
        return {"generation": generation, "services": {}}

    if base == 0:
        with step(host.emit, "switch.import"):
            origins.remember(host)
    running = {name: service.pid() is not None for name, service in host.services.items()}
    if generation:
        changed = frozenset(each.name for each in drifted.found(host))
        acts = _acts(host, running, generations.affected(host, base, generation, changed))
    else:
        acts = {name: "restart" if ran else "stop" for name, ran in before.running(host).items()}
    entry = journal.begin(
        generation=generation,
        previous=base,
        deadline=deadline,
        services=acts,
        running=running,
        ports=sorted(services.listening()),
    )
    try:
        with step(host.emit, "switch.deadman") as said:
            deadman.launch(host, entry.number)
            said.detail = f"rolls back unless confirmed within {deadline} s"
        if generation == 0:
            with step(host.emit, "switch.hold") as said:
                said.detail = f"{_hold(host)} messages"
        with step(host.emit, "switch.pointer") as said:
            _point(host, generation)
            said.detail = f"{base} -> {generation}"
        for name, act in acts.items():
            with step(host.emit, f"switch.{name}") as said:
                host.services[name].act(act, _ports(host, name, generation))
                said.detail = act
        entry.append("switched", boot=boot_id(), due=uptime() + deadline)
    except Exception as failure:
        why = _words(failure)
        roll_back(host, entry, why)
        raise Refused(
            "rolled_back",
            f"{why} Generation {base} is live again.",
            generation=base,
            outcome="rolled_back",
        ) from failure
    with contextlib.suppress(OSError):  # tidying up is no reason to call it a failure
        generations.prune(host, frozenset({base, generation}))
    told = {name: _DONE[act] for name, act in acts.items()}
    return {"generation": generation, "services": told, "deadline": deadline}


def _words(failure: Exception) -> str:
    return str(failure) if isinstance(failure, services.ServiceFailed) else sentence(failure)


_DONE = {"start": "started", "reload": "reloaded", "restart": "restarted", "stop": "stopped"}


def _point(host: Host, generation: int) -> None:
    """The pointer and the well-known paths, onto this generation."""
    if generation == 0:
        origins.put_back(host)
        generations.point(host, 0)
    else:
        generations.point(host, generation)
        origins.link(host)


def _ports(host: Host, name: str, generation: int) -> FrozenSet[int]:
    """What must be listened on; before the console, only what was."""
    ports = host.services[name].ports
    return ports if generation else ports & before.ports(host)


def _hold(host: Host) -> int:
    """Holds what generation 0 would bounce.  While the mail server runs first, then once more when
    it is down: what it is delivering just now is skipped, and new mail goes on coming."""
    then = before.Before(host)
    if not then.domains:
        return 0
    held = 0
    with contextlib.suppress(Refused):
        held = holding.hold(host, then, patience=0)
    host.services["postfix" if then.is_postfix else "sendmail"].stop_for_good()
    return held + holding.hold(host, then)


def _let_go(host: Host) -> None:
    """What we held; a message that cannot be let go now is, the next time."""
    with contextlib.suppress(Refused, OSError):
        if holding.ours(host):
            with step(host.emit, "queue.let_go") as said:
                said.detail = f"{holding.let_go(host)} messages"


def _acts(host: Host, running: Mapping[str, bool], needs: Mapping[str, str]) -> Dict[str, str]:
    """What is done to each daemon, in the order of `host.services`; nothing to the unchanged."""
    acts = {}
    for name in host.services:
        if not running[name]:
            acts[name] = "start"
        elif name in needs:
            acts[name] = needs[name]
    return acts


def confirm(host: Host, *, generation: int) -> Dict[str, Any]:
    entry = Journal(host.layout.journal).last()
    if entry is None or entry.generation != generation:
        raise Refused("not_pending", f"Generation {generation} is not waiting to be confirmed.")
    if entry.state == "confirmed":
        if generation:
            _let_go(host)
        return {"generation": generation, "outcome": "confirmed"}
    due = entry.due
    if due is None or due <= 0:
        raise Refused(
            "too_late",
            f"Generation {generation} was not confirmed in time.",
            outcome=entry.state,
        )
    entry.append("confirmed")
    if generation:
        _let_go(host)
    return {"generation": generation, "outcome": "confirmed"}


def rollback(host: Host, *, generation: int) -> Dict[str, Any]:
    """Leaves `generation` for the one the journal says it replaced, confirmed or not."""
    journal = Journal(host.layout.journal)
    entry = journal.last_to(generation)
    if entry is None:
        raise Refused("not_switched", f"Generation {generation} was never live on this host.")
    if generations.current(host) == entry.previous and entry.state == "rolled_back":
        return {"generation": entry.previous, "outcome": "rolled_back"}
    if generations.current(host) != generation and not entry.is_open:
        raise Refused(
            "base_moved",
            f"This host is on generation {generations.current(host)}, not {generation}.",
            generation=generations.current(host),
        )
    if entry.state == "confirmed":
        if generations.manifest(host, entry.previous) is None:
            raise Refused("gone", f"Generation {entry.previous} is no longer on this host.")
        entry = journal.begin(
            generation=generation,
            previous=entry.previous,
            deadline=0,
            services=generations.affected(host, generation, entry.previous),
            running=entry.begun["running"] if entry.previous == 0 else {},
            ports=entry.begun["ports"],
        )
    roll_back(host, entry, "asked for")
    return {"generation": entry.previous, "outcome": "rolled_back"}


def leave(host: Host) -> Dict[str, Any]:
    """Out of every generation at once, to what was there before the console."""
    live = generations.current(host)
    if live:
        entry = Journal(host.layout.journal).begin(
            generation=live,
            previous=0,
            deadline=0,
            services=generations.affected(host, live, 0),
            running=before.running(host),
            ports=[],
        )
        roll_back(host, entry, "leaving the console")
    return {"generation": generations.current(host), "outcome": "rolled_back"}


def roll_back(host: Host, entry: Entry, why: str, *, daemons: bool = True) -> None:
    """Back to `entry.previous`.  Needs nothing of the generation it leaves; may be repeated.

    `daemons=False` at boot, before systemd starts them.  Raises `rollback_failed`.
    """
    with contextlib.suppress(OSError):  # a full disk must not keep the pointer from moving
        entry.append("rolling_back", why=why[:500])
    failures: List[str] = []
    if entry.previous == 0:
        # Going back matters more than a message that would bounce, whatever is in the way:
        # SQLite's errors on a full disk are no OSError.
        with contextlib.suppress(Exception), step(host.emit, "rollback.hold") as said:
            said.detail = f"{_hold(host)} messages"
    try:
        with step(host.emit, "rollback.pointer") as said:
            _point(host, entry.previous)
            said.detail = f"{entry.generation} -> {entry.previous}"
    except (OSError, Refused) as failure:
        failures.append(_words(failure))
    if daemons and not failures:
        for name in host.services:
            try:
                _bring_back(host, name, entry)
            except (services.ServiceFailed, OSError) as failure:
                failures.append(_words(failure))
    if failures:
        with contextlib.suppress(OSError):
            entry.append("rollback_failed", detail=failures)
        raise Refused(
            "rollback_failed",
            f"{why} Going back to generation {entry.previous} failed too: {' '.join(failures)} "
            f"Put that right, then type as root on the host: {RECOVER}",
            generation=generations.current(host),
            outcome="rollback_failed",
        )
    try:
        entry.append("rolled_back", daemons=daemons)
    except OSError:  # it is done; a later start of the helper writes it down
        with contextlib.suppress(OSError):
            durable.write(host.layout.run / _DONE_ALREADY, _mark(entry), 0o600)
    if entry.previous:
        _let_go(host)


_DONE_ALREADY = "rolled_back"
"""In /run, which is another file system and empty after a boot: a full disk would otherwise have
every request go back anew, daemons and all."""


def _mark(entry: Entry) -> bytes:
    return f"{entry.number} {boot_id()}\n".encode()


def _is_done(host: Host, entry: Entry) -> bool:
    try:
        marked = (host.layout.run / _DONE_ALREADY).read_bytes()
    except OSError:
        return False
    return marked == _mark(entry) and generations.current(host) == entry.previous


def _bring_back(host: Host, name: str, entry: Entry) -> None:
    """One daemon onto the previous generation: reloaded, started, or stopped if it was down."""
    service = host.services[name]
    was_up = entry.begun["running"].get(name, True)
    act: Optional[str] = entry.begun["services"].get(name)
    ours_alone = entry.previous == 0 and not was_up
    if act is None and service.pid() is not None and not ours_alone:
        return  # the switch had no business with it
    with step(host.emit, f"rollback.{name}") as said:
        if ours_alone:
            service.stop()
            said.detail = "stop"
            return
        # Ports of an earlier owner are not ours to expect; only what listened before must again.
        ports = service.ports & set(entry.begun["ports"])
        running = service.pid() is not None
        said.detail = (act if act == "restart" else "reload") if running else "start"
        try:
            service.act(said.detail, ports)
        except services.ServiceFailed:
            if said.detail == "start":
                raise
            said.detail += ", restart"
            service.restart(ports)


def recover(host: Host, *, daemons: bool = True, retry: bool = False) -> Optional[str]:
    """Finishes what was cut off: the outcome if anything was done.  Needs the lock.

    A switch in its time of waiting is left alone, with a dead-man to watch it.  A rollback
    that failed is tried again only when `retry` (asked for, or at boot).
    """
    entry = Journal(host.layout.journal).last()
    if entry is None or not entry.is_open:
        return None
    if entry.state == "rollback_failed" and not retry:
        return None
    due = entry.due
    if due is not None and due > 0:
        deadman.ensure(host, entry.number)
        return None
    if not retry and _is_done(host, entry):
        with contextlib.suppress(OSError):
            entry.append("rolled_back", daemons=daemons)
        return "rolled_back"
    why = {
        "begun": "The switch was cut off.",
        "switched": "The new generation was not confirmed in time.",
    }.get(entry.state, "A rollback was cut off.")
    roll_back(host, entry, why, daemons=daemons)
    return "rolled_back"


def pending(host: Host) -> Optional[Dict[str, Any]]:
    entry = Journal(host.layout.journal).last()
    if entry is None or entry.due is None:
        return None
    return {"generation": entry.generation, "deadline": max(0, round(entry.due, 1))}


def last(host: Host) -> Optional[Dict[str, Any]]:
    """How the last switch ended, or how far it is."""
    entry = Journal(host.layout.journal).last()
    if entry is None:
        return None
    return {
        "generation": entry.generation,
        "previous": entry.previous,
        "outcome": entry.state,
        "why": next((r["why"] for r in reversed(entry.records) if "why" in r), ""),
    }
