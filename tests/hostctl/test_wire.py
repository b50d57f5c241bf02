import io
import json

import pytest

from deploy.hostctl import wire
from deploy.hostctl.wire import Refused


def header(**fields: object) -> io.BytesIO:
    return io.BytesIO(json.dumps({"v": 1, **fields}).encode() + b"\nrest")


def test_header_is_one_line_and_leaves_the_payload() -> None:
    stream = header(verb="facts")
    assert wire.read_header(stream)["verb"] == "facts"
    assert stream.read() == b"rest"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "bad_request"),
        (b"[]\n", "bad_request"),
        (b"not json\n", "bad_request"),
        (b"\xff\xfe\n", "bad_request"),
        (b'{"verb": "facts"}\n', "version"),
        (b'{"v": 2}\n', "version"),
        (b'{"v": 1, "x": "' + b"a" * wire.HEADER_CAP + b'"}\n', "bad_request"),
    ],
)
def test_header_that_is_none_is_refused(sent: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.read_header(io.BytesIO(sent))
    assert refused.value.code == code


def test_payload_is_read_to_the_end_or_to_its_size() -> None:
    assert wire.spool(io.BytesIO(b"abcdef"), {}, 10).read() == b"abcdef"
    stream = io.BytesIO(b"abcdef")
    assert wire.spool(stream, {"size": 4}, 10).read() == b"abcd"
    assert stream.read() == b"ef"


@pytest.mark.parametrize(
    ("fields", "code"),
    [({}, "too_large"), ({"size": 11}, "too_large"), ({"size": "4"}, "bad_request")],
)
def test_payload_beyond_its_cap_is_refused(fields: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.spool(io.BytesIO(b"x" * 11), fields, 10)
    assert refused.value.code == code


def test_payload_cut_short_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        wire.spool(io.BytesIO(b"abc"), {"size": 4}, 10)
    assert refused.value.code == "truncated"


@pytest.mark.parametrize("value", [True, -1, 1.5, "1", None])
def test_number_must_be_one(value: object) -> None:
    with pytest.raises(Refused):
        wire.number({"generation": value}, "generation")


def test_a_client_that_is_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        tries = 0

        def write(self, text: str) -> int:
            self.tries += 1
            raise BrokenPipeError

    stream = Gone()
    output = wire.Output(stream)
    output({"event": "step"})
    output({"event": "result"})
    assert stream.tries == 1


def test_a_step_tells_how_it_ended() -> None:
    seen: list[dict[str, object]] = []
    with wire.step(seen.append, "one") as said:
        said.detail = "fine"
    with pytest.raises(Refused), wire.step(seen.append, "two"):
        raise Refused("no", "It would not.")
    with pytest.raises(OSError), wire.step(seen.append, "three"):
        raise OSError("disk")
    assert [(each["name"], each["ok"], each["detail"]) for each in seen] == [
        ("one", True, "fine"),
        ("two", False, "It would not."),
        ("three", False, "OSError: disk"),
    ]
