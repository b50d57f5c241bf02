"""On which side a host is that was disturbed, and whether it is whole there."""

from __future__ import annotations

from deploy.hostctl import drifted, generations, switch
from tests.hostctl.fakes import FakeHost


def whole(host: FakeHost, number: int) -> None:
    """Pointer, links and daemons all on this generation."""
    assert generations.current(host) == number
    if number == 0:
        assert host.services["sendmail"].loaded == "the system's own cf"
        assert host.services["dovecot"].loaded == "the system's own conf"
        assert host.services["bridge"].loaded is None
        return
    assert drifted.found(host) == []
    assert host.services["sendmail"].loaded == f"cf of generation {number}"
    folder = host.layout.generation(number)
    assert host.services["dovecot"].loaded == f"2.4 conf of generation {number} in {folder}"


def one_side(host: FakeHost, old: int, new: int) -> None:
    """After the next start of the helper; and the host is fit for use."""
    switch.recover(host, retry=True)
    found = switch.last(host)
    if found is None:
        assert generations.current(host) is None, "nothing had begun"
        return
    if found["outcome"] == "switched":
        whole(host, new)
        switch.rollback(host, generation=new)
    elif found["outcome"] == "confirmed":
        whole(host, int(found["generation"]))
        if generations.current(host) == new:
            switch.rollback(host, generation=new)
    whole(host, old)
    switch.switch(host, generation=new, base=old, deadline=60)
    switch.confirm(host, generation=new)
    whole(host, new)


def unmanaged(host: FakeHost) -> None:
    """The system's own configuration runs; 1 is staged."""
    host.before()
    host.stage(1, 0)


def managed(host: FakeHost) -> None:
    """Generation 1 is live, 2 is staged."""
    unmanaged(host)
    switch.switch(host, generation=1, base=0, deadline=60)
    switch.confirm(host, generation=1)
    host.stage(2, 1)


def waiting(host: FakeHost) -> None:
    """Generation 2 is live and waits to be confirmed."""
    managed(host)
    switch.switch(host, generation=2, base=1, deadline=600)
