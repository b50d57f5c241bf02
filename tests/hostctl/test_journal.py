from pathlib import Path

import pytest

from deploy.hostctl import journal
from deploy.hostctl.journal import Journal


def begin(folder: Path, generation: int = 2) -> journal.Entry:
    return Journal(folder).begin(
        generation=generation, previous=1, deadline=60, services={}, running={}, ports=[]
    )


def test_records_are_read_back(tmp_path: Path) -> None:
    begin(tmp_path).append("switched", boot=journal.boot_id(), due=journal.uptime() + 60)
    entry = Journal(tmp_path).last()
    assert entry is not None
    assert (entry.generation, entry.previous, entry.state) == (2, 1, "switched")
    assert entry.is_open and entry.due is not None and 58 < entry.due <= 60


def test_a_torn_record_counts_as_not_written(tmp_path: Path) -> None:
    entry = begin(tmp_path)
    with entry.path.open("ab") as file:
        file.write(b'{"kind": "confi')
    found = Journal(tmp_path).last()
    assert found is not None and found.state == "begun"
    found.append("rolled_back")
    again = Journal(tmp_path).last()
    assert again is not None and again.state == "rolled_back"


def test_a_switch_whose_first_record_is_torn_never_was(tmp_path: Path) -> None:
    begin(tmp_path).append("confirmed")
    (tmp_path / "00000002.jsonl").write_bytes(b'{"kind": "beg')
    found = Journal(tmp_path).last()
    assert found is not None and found.number == 1
    assert begin(tmp_path, 3).number == 3


def test_due_means_nothing_after_a_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path).append("switched", boot=journal.boot_id(), due=journal.uptime() + 600)
    monkeypatch.setattr(journal, "boot_id", lambda: "another")
    found = Journal(tmp_path).last()
    assert found is not None and found.due is not None and found.due < 0


def test_only_the_last_two_hundred_are_kept(tmp_path: Path) -> None:
    for number in range(205):
        begin(tmp_path, number).append("confirmed")
    assert len(Journal(tmp_path).numbers()) == 201
    assert Journal(tmp_path).last_to(204) is not None
    assert Journal(tmp_path).last_to(1) is None


def test_readable_by_root_alone(tmp_path: Path) -> None:
    assert begin(tmp_path).path.stat().st_mode & 0o777 == 0o600
