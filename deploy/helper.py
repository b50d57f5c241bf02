"""A host's helper as the console calls it: one method a verb, on one connection.

    with Helper.of(host, transport) as helper:
        facts = helper.facts()
        for event in helper.stage(generation=…):
            ...

Writing requests carry the next number of `Host.sequence`. Two workers may number theirs in one
order and send them in another; the host then answers `replayed`, which says that it did nothing,
and the request goes out again with a new number.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from core import seal
from deploy.models import Generation, Host
from deploy.render.values import Facts
from deploy.transport import (
    Broken,
    Connection,
    Event,
    HostError,
    HostKeyMismatch,
    LoginRefused,
    SshTransport,
    Target,
    Transport,
    TransportError,
    last,
)

RING = "ssh"
TRIES_AT_NUMBERS = 5

# The greatest honest durations, in seconds: a slow disk, a daemon that starts after others.
STAGE_SECONDS = 60.0
VALIDATE_SECONDS = 90.0
SWITCH_SECONDS = 90.0
RELEASE_SECONDS = 180.0
ACCOUNTS_SECONDS = 300.0
ERASE_SECONDS = 900.0
USAGE_SECONDS = 60.0
SHORT_SECONDS = 30.0

ssh = SshTransport()


def key_context(host: Host) -> str:
    return f"host:{host.uuid}:ssh"


def target_of(host: Host) -> Target:
    """Raises core.seal.KeyNotHeld in a process that does not hold the ring "ssh"."""
    sealed = bytes(host.ssh_private_key or b"")
    return Target(
        uuid=str(host.uuid),
        fqdn=host.fqdn,
        address=host.address,
        port=host.ssh_port,
        host_key=host.host_key,
        private_key=seal.unseal(RING, sealed, context=key_context(host)),
    )


class Helper:
    def __init__(
        self,
        host_id: int,
        uuid: str,
        connection: Connection,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._host_id = host_id
        self._uuid = uuid
        self._connection = connection
        self._beat = beat

    @classmethod
    def of(
        cls,
        host: Host,
        transport: Transport | None = None,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> Self:
        """Connect. Raises transport.Unreachable, HostKeyMismatch or LoginRefused."""
        connection = (transport or ssh).connect(target_of(host))
        return cls(host.pk, str(host.uuid), connection, beat=beat)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _read(self, verb: str, *, seconds: float, **fields: Any) -> Iterator[Event]:
        header = {"v": 1, "verb": verb, "host": self._uuid, **fields}
        return self._connection.call(header, seconds=seconds, beat=self._beat)

    def _write(
        self, verb: str, payload: bytes = b"", *, seconds: float, **fields: Any
    ) -> Iterator[Event]:
        for attempt in range(1, TRIES_AT_NUMBERS + 1):
            number = Host.objects.next_sequence(self._host_id)
            header = {"v": 1, "verb": verb, "host": self._uuid, "sequence": number, **fields}
            try:
                yield from self._connection.call(header, payload, seconds=seconds, beat=self._beat)
                return
            except HostError as error:
                if error.code != "replayed" or attempt == TRIES_AT_NUMBERS:
                    raise
                self._catch_up(error)

    def _catch_up(self, error: HostError) -> None:
        """A console restored from a backup numbers from where it was: go on from the host's."""
        seen = error.event.get("sequence")
        if isinstance(seen, int):
            Host.objects.filter(pk=self._host_id, sequence__lt=seen).update(sequence=seen)

    def facts(self) -> Event:
        return last(self._read("facts", seconds=SHORT_SECONDS))

    def drift(self) -> Event:
        """`files`: what `facts` names as drift, with what is in them."""
        return last(self._read("drift", seconds=SHORT_SECONDS))

    def csr(self, *, names: Sequence[str], kind: str = "p256") -> Event:
        """`key_id` and `csr` of a key that is made there and never leaves."""
        return last(self._write("csr", seconds=SHORT_SECONDS, names=list(names), kind=kind))

    def stage(
        self,
        *,
        generation: int,
        base: int,
        key: str,
        digest: str,
        tar: bytes,
        drift: Mapping[str, str],
    ) -> Iterator[Event]:
        """`drift`: the changed files that somebody has seen; refused when there are others."""
        return self._write(
            "stage",
            tar,
            seconds=STAGE_SECONDS,
            generation=generation,
            base=base,
            key=key,
            digest=digest,
            drift=dict(drift),
        )

    def validate(self, *, generation: int) -> Iterator[Event]:
        return self._read("validate", seconds=VALIDATE_SECONDS, generation=generation)

    def switch(self, *, generation: int, base: int, deadline: int) -> Iterator[Event]:
        return self._write(
            "switch", seconds=SWITCH_SECONDS, generation=generation, base=base, deadline=deadline
        )

    def confirm(self, *, generation: int) -> Event:
        return last(self._write("confirm", seconds=SHORT_SECONDS, generation=generation))

    def rollback(self, *, generation: int) -> Iterator[Event]:
        return self._write("rollback", seconds=SWITCH_SECONDS, generation=generation)

    def queue(self) -> Event:
        """`count`, `held`, `oldest` and `by_domain` of the mail that waits."""
        return last(self._read("queue", seconds=USAGE_SECONDS))

    def release_look(self) -> Event:
        """What giving the host back would do; nothing is touched."""
        return last(self._read("release", seconds=RELEASE_SECONDS, look=True))

    def release(self, *, base: int, deadline: int) -> Iterator[Event]:
        """Back to what was there before the console; then `confirm` or `rollback` of 0."""
        return self._write("release", seconds=RELEASE_SECONDS, base=base, deadline=deadline)

    def usage(self, *, cursor: int) -> Event:
        """Logins at the second `cursor` or later: `uses`, `recording`, `through`, `cursor`,
        `more`."""
        return last(self._read("usage", seconds=USAGE_SECONDS, cursor=cursor))

    def accounts(self, payload: bytes, **fields: Any) -> Event:
        return last(self._write("accounts", payload, seconds=ACCOUNTS_SECONDS, **fields))

    def erase(self, *, address: str) -> Event:
        """Deletes the mail of an account that the host does not know any more."""
        return last(self._write("erase", seconds=ERASE_SECONDS, address=address))


def note_reached(host: Host, facts: Event, *, at: datetime) -> None:
    """Remember what a host said about itself."""
    Host.objects.filter(pk=host.pk).update(
        facts=dict(facts),
        facts_at=at,
        problem="",
        problem_detail="",
        state=Host.READY,
        **_what_it_is(host, Facts.from_report(facts)),
    )
    host.refresh_from_db()


def _what_it_is(host: Host, said: Facts) -> dict[str, str]:
    """Its mail server and family, as long as nothing of the console's has been live there: after
    that somebody has to say that another is meant (`configure.follow_mta`)."""
    if not said.mta or (said.mta, said.family) == (host.mta, host.family):
        return {}
    if Generation.objects.filter(host=host).exclude(live_at=None).exists():
        return {}
    return {"mta": said.mta, "family": said.family}


def code_of(error: TransportError) -> str:
    """The code under which `deploy.sentences` has words for it."""
    if isinstance(error, HostKeyMismatch):
        return "host_key"
    if isinstance(error, LoginRefused):
        return "login"
    return "broken" if isinstance(error, Broken) else "unreachable"


def note_unreachable(host: Host, error: TransportError) -> None:
    Host.objects.filter(pk=host.pk, state__in=[Host.READY, Host.UNREACHABLE]).update(
        state=Host.UNREACHABLE, problem=code_of(error), problem_detail=str(error)[:2000]
    )
