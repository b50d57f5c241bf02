"""Asks a socket that speaks saslauthd's protocol; runs inside a host (`benchmarks.bridge`).

    bridge_driver.py SOCKET RIGHT SECONDS    → one line of JSON

`alice` gives wrong passwords, `bob` is the bystander with the right one.
"""

from __future__ import annotations

import json
import socket
import statistics
import struct
import sys
import threading
import time

ALICE, BOB = "alice@example.test", "bob@example.test"
GUESSERS = 16


def ask(path, login, password):
    """The answer (empty: none) and the seconds it took."""
    began = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        for text in (login, password, "smtp", ""):
            client.sendall(struct.pack(">H", len(text)) + text.encode())
        answer = client.makefile("rb").read()
    return answer[2:4], time.perf_counter() - began


def bystander(path, right, while_running):
    took = []
    while while_running() or len(took) < 10:
        answer, seconds = ask(path, BOB, right)
        if answer != b"OK":
            raise SystemExit(f"bob was not let in: {answer!r}")
        took.append(seconds)
        time.sleep(0.02)
    return took


def spread(took):
    """The median and the slowest, without the first, which may have met a cold process."""
    return [statistics.median(took[1:]), max(took[1:])]


def together(count, act):
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def main(path, right, seconds):
    ask(path, BOB, right)
    alone = bystander(path, right, lambda: False)

    def four_wrong():
        for _ in range(4):
            ask(path, ALICE, "wrong")

    (wrong,) = together(1, four_wrong)
    beside = bystander(path, right, wrong.is_alive)

    until = time.monotonic() + seconds
    answered = []

    def guess():
        while time.monotonic() < until:
            answer, _ = ask(path, ALICE, "guess")
            if answer:
                answered.append(answer)
            else:
                time.sleep(0.05)  # turned away without a check

    guessers = together(GUESSERS, guess)
    beside_guessing = bystander(path, right, lambda: time.monotonic() < until)
    checked = len(answered)
    for thread in guessers:
        thread.join()

    done = []
    stop = time.monotonic() + 3

    def log_in():
        while time.monotonic() < stop:
            ask(path, BOB, right)
            done.append(1)

    for thread in together(8, log_in):
        thread.join()
    return {
        "alone": spread(alone),
        "beside": spread(beside),
        "guesses": checked / seconds,
        "beside_guessing": spread(beside_guessing),
        "logins": len(done) / 3,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))))  # noqa: T201
