"""Questions to running daemons, asked from here as a client would ask them.

`run` asks all at once, each in a thread of its own, and tries again for as long as `place.patience`
lasts where the daemon may just be coming back.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from concurrent.futures import TimeoutError as NothingYet
from dataclasses import replace
from typing import Protocol as Shape

from deploy.probes import delivery, hello, imap, pop3, smtp
from deploy.probes.values import Found, NotYet, Place, ProbeFailed, Result

PAUSE = 0.15
"""Seconds before the second attempt; each further one waits twice as long, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 2.0

_MODULES = {
    "smtp": smtp,
    "submission": smtp,
    "submissions": smtp,
    "imap": imap,
    "imaps": imap,
    "pop3": pop3,
    "pop3s": pop3,
}
_ACROSS: dict[str, Callable[..., Found]] = {
    "delivery": delivery.delivery,
    "old_tls": hello.old_tls,
    "weak_tls": hello.weak_tls,
}
"""Kinds that speak more than one protocol, or that are asked alike in all."""
_COMPARES = {"tls", "starttls"}


class Question(Shape):
    """`deploy.plan.Probe`, or anything with its fields."""

    @property
    def kind(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def expect(self) -> str: ...


def ask(question: Question, place: Place) -> Result:
    """One question, with patience. Never raises: whatever goes wrong is the answer."""
    probe = _ACROSS.get(question.kind) or getattr(_MODULES[question.protocol], question.kind)
    began = time.monotonic()
    pause = PAUSE
    while True:
        try:
            found: Found
            if question.kind in _COMPARES:
                found = probe(place, question.protocol, question.port, question.expect)
            else:
                found = probe(place, question.protocol, question.port)
            result = _result(question, True, found.evidence, found.fingerprint, began)
            return replace(result, not_after=found.not_after)
        except NotYet as not_yet:
            left = place.patience - (time.monotonic() - began)
            if left <= 0:
                return _result(question, False, not_yet.evidence, not_yet.fingerprint, began)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        except ProbeFailed as failure:
            return _result(question, False, failure.evidence, failure.fingerprint, began)
        except Exception as error:  # noqa: BLE001 - a probe that breaks has not proved anything
            return _result(question, False, f"{type(error).__name__}: {error}", "", began)


def _result(question: Question, ok: bool, evidence: str, fingerprint: str, began: float) -> Result:
    return Result(
        kind=question.kind,
        protocol=question.protocol,
        port=question.port,
        ok=ok,
        evidence=evidence[:2000],
        fingerprint=fingerprint,
        ms=round(1000 * (time.monotonic() - began)),
    )


def run(
    questions: Iterable[Question],
    place: Place,
    *,
    beat: Callable[[], None] = lambda: None,
    together: int = 16,
) -> Iterator[Result]:
    """Ask them all; yield the answers as they come. `beat` is called at least every two seconds."""
    with ThreadPoolExecutor(max_workers=together, thread_name_prefix="probe") as pool:
        waiting = _begin(pool, sorted(questions, key=_turn), place)
        while waiting:
            try:
                for future in as_completed(waiting, timeout=2):
                    waiting.discard(future)
                    yield future.result()
            except NothingYet:
                pass
            beat()


_SIGN_IN = {"auth_right", "delivery"}
_SIGN_IN_WRONGLY = {"auth_wrong"}


def _turn(question: Question) -> int:
    return 0 if question.kind in _SIGN_IN else 1 if question.kind in _SIGN_IN_WRONGLY else 2


def _begin(
    pool: ThreadPoolExecutor, questions: Iterable[Question], place: Place
) -> set[Future[Result]]:
    """A wrong password comes after the right ones: where Dovecot knows the client's address (behind
    Postfix), whoever comes from there has to wait for seconds afterwards."""
    signing_in: list[Future[Result]] = []
    begun = set()
    for question in questions:
        before = signing_in if question.kind in _SIGN_IN_WRONGLY else []
        future = pool.submit(_ask_after, tuple(before), question, place)
        begun.add(future)
        if question.kind in _SIGN_IN:
            signing_in.append(future)
    return begun


def _ask_after(before: tuple[Future[Result], ...], question: Question, place: Place) -> Result:
    wait(before)
    return ask(question, place)
