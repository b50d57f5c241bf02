"""The verbs: a header in, a result out.  Writing verbs take a lock and a new sequence number.

    reading   facts drift usage queue, and release with `"look": true`
    writing   csr stage validate switch confirm rollback recover accounts sessions erase release

A request carries the host's identity: one meant for another host changes nothing.  The first
writing request names the host for good (the installer may have done so already).  The
sequence number is kept before anything is done, so a replayed request is refused even when
the first was killed half-way.
"""

from __future__ import annotations

import contextlib
import json
from typing import IO, Any, BinaryIO, Callable, Dict, Optional

from . import (
    accounts,
    checks,
    drifted,
    durable,
    erasure,
    facts,
    generations,
    keys,
    queue,
    release,
    sessions,
    switch,
    upgrades,
    usage,
    wire,
)
from .host import Host
from .wire import Header, Refused

Result = Dict[str, Any]
_LOCK_PATIENCE = 20.0
"""Two requests may come at once; the second waits this long."""


def _csr(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return keys.csr(host, names=header.get("names"), kind=str(header.get("kind", "p256")))


def _stage(host: Host, header: Header, payload: IO[bytes]) -> Result:
    with wire.step(host.emit, "stage.unpack") as said:
        files = generations.unpack(payload)
        said.detail = f"{len(files)} files"
    if "drift" in header:
        with wire.step(host.emit, "stage.drift"):
            drifted.refuse_unseen(host, header["drift"])
    with wire.step(host.emit, "stage.write"):
        values = generations.stage(
            host,
            generation=wire.number(header, "generation", 1),
            base=wire.number(header, "base"),
            key=wire.text(header, "key"),
            digest=wire.text(header, "digest"),
            files=files,
            dovecot_version=facts.dovecot_version(host),
        )
    return {"generation": values["generation"], "digest": values["digest"]}


def _validate(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return checks.validate(host, generation=wire.number(header, "generation", 1))


def _switch(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return switch.switch(
        host,
        generation=wire.number(header, "generation", 1),
        base=wire.number(header, "base"),
        deadline=wire.number(header, "deadline", 1),
    )


def _confirm(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return switch.confirm(host, generation=wire.number(header, "generation"))


def _rollback(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return switch.rollback(host, generation=wire.number(header, "generation"))


def _release(host: Host, header: Header, payload: IO[bytes]) -> Result:
    """Back to what was there before the console; then `confirm` or `rollback` of generation 0."""
    release.refuse_unknown(host)
    return switch.switch(
        host,
        generation=0,
        base=wire.number(header, "base"),
        deadline=wire.number(header, "deadline", 1),
    )


def _recover(host: Host, header: Header, payload: IO[bytes]) -> Result:
    done = switch.recover(host, retry=True)
    upgrades.mend(host)
    accounts.repair(host)
    return {"outcome": done, "generation": generations.current(host)}


def _accounts(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return accounts.apply(
        host,
        lineage=wire.text(header, "lineage"),
        from_change=wire.number(header, "from_change"),
        through_change=wire.number(header, "through_change"),
        whole=wire.flag(header, "whole"),
        force=wire.flag(header, "force"),
        end_sessions=header.get("end_sessions", []),
        lines=payload,
    )


def _sessions(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return {"kicked": len(sessions.end(host, sessions.addresses(header.get("end"))))}


def _erase(host: Host, header: Header, payload: IO[bytes]) -> Result:
    return erasure.erase(host, address=wire.text(header, "address"))


Verb = Callable[[Host, Header, IO[bytes]], Result]
WRITING: Dict[str, Verb] = {
    "csr": _csr,
    "stage": _stage,
    "validate": _validate,
    "switch": _switch,
    "confirm": _confirm,
    "rollback": _rollback,
    "recover": _recover,
    "accounts": _accounts,
    "sessions": _sessions,
    "erase": _erase,
    "release": _release,
}
# Repeating these does no harm, and who repairs a host may not know its counter.
_WITHOUT_SEQUENCE = frozenset({"validate", "recover", "sessions"})
_READING = ("drift", "usage", "queue")
_LOCK_OF = {"accounts": "accounts.lock", "sessions": "accounts.lock", "erase": "erase.lock"}
_PAYLOADS = {"stage": wire.STAGE_CAP, "accounts": wire.ACCOUNTS_CAP}


def serve(host: Host, stream: BinaryIO) -> Result:
    """One request: recovers what was cut off before, then does what is asked."""
    header = wire.read_header(stream)
    verb = wire.text(header, "verb")
    if verb == "facts":
        identity = _identity(host)
        if host.layout.state.is_dir():
            with contextlib.suppress(Refused, OSError), host.locked():
                switch.recover(host)
                upgrades.mend(host)
        return {**facts.collect(host), "host": identity.get("host"), "for": header.get("host")}
    looks = verb == "release" and wire.flag(header, "look")
    if looks or verb in _READING:
        meant = wire.text(header, "host")
        if _identity(host).get("host", meant) != meant:
            raise Refused("wrong_host", "This request is meant for another host.")
    if looks:
        return release.look(host)
    if verb == "drift":
        return drifted.shown(host)
    if verb == "queue":
        return queue.collect(host)
    if verb == "usage":
        return usage.collect(host, cursor=wire.number(header, "cursor"))
    act = WRITING.get(verb)
    if act is None:
        raise Refused("unknown_verb", f"This host's helper does not know {verb[:40]!r}.")
    with wire.spool(stream, header, _PAYLOADS.get(verb, 0)) as payload:
        host.prepare()
        if verb != "recover":
            # Whatever comes of it is in the journal; an account's suspension does not wait for it.
            with contextlib.suppress(Refused, OSError), host.locked():
                switch.recover(host)
        with host.locked(_LOCK_PATIENCE, _LOCK_OF.get(verb, "lock")):
            with host.locked(_LOCK_PATIENCE, "identity.lock"):
                _admit(host, header, verb)
            return act(host, header, payload)


def _identity(host: Host) -> Dict[str, Any]:
    try:
        found = json.loads(host.layout.identity.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Refused("identity", f"{host.layout.identity} cannot be read.") from None
    return found if isinstance(found, dict) else {}


def _admit(host: Host, header: Header, verb: str) -> None:
    """Refuses a request for another host and one that was seen before; remembers this one."""
    meant = wire.text(header, "host")
    identity = _identity(host)
    if identity.get("host", meant) != meant:
        raise Refused("wrong_host", "This request is meant for another host.")
    seen = int(identity.get("sequence", 0))
    number: Optional[int] = None
    if verb not in _WITHOUT_SEQUENCE:
        number = wire.number(header, "sequence", 1)
        if number <= seen:
            raise Refused("replayed", "This request was made before; it is not done twice.",
                          sequence=seen)  # fmt: skip
    if number is not None or "host" not in identity:
        kept = json.dumps({"host": meant, "sequence": number if number is not None else seen})
        durable.write(
            host.layout.identity, kept.encode() + b"\n", 0o600, host.owner("root", "root")
        )
