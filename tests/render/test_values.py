import json

import pytest

from deploy.render.values import Facts, from_record, to_record
from tests.render.examples import HOSTS, snapshot


@pytest.mark.parametrize("name", HOSTS)
def test_a_snapshot_survives_json(name):
    kept = json.loads(json.dumps(to_record(snapshot(name))))
    assert from_record(kept) == snapshot(name)


def test_an_older_and_a_newer_record_are_read():
    record = to_record(snapshot("plain"))
    del record["host"]["message_size_mb"]
    record["host"]["a_setting_of_tomorrow"] = 1
    assert from_record(record) == snapshot("plain")


def test_facts_that_are_missing_count_as_not_running():
    facts = Facts.from_report({})
    assert (facts.sendmail_running, facts.dovecot_running, facts.bridge_running) == (False,) * 3
    assert facts.generation is None
    assert facts.dovecot_branch == ""


def test_facts_are_read_from_the_helpers_report():
    facts = Facts.from_report(
        {
            "sendmail": "8.18.1",
            "dovecot": "2.4.1",
            "generation": 3,
            "fqdn_ok": True,
            "drift": ["sendmail/sendmail.cf"],
            "services": {
                "sendmail": {"running": True, "pid": 5},
                "dovecot": {"running": False, "pid": None},
                "bridge": None,
            },
        }
    )
    assert facts.sendmail_running
    assert not facts.dovecot_running
    assert not facts.bridge_running
    assert facts.drift == ("sendmail/sendmail.cf",)
    assert facts.dovecot_branch == "2.4"


@pytest.mark.parametrize(
    ("version", "branch"),
    [("2.3.19.1", "2.3"), ("2.4.1-4", "2.4"), ("2.2.36", ""), ("2.30", ""), ("", "")],
)
def test_a_version_belongs_to_a_branch_we_render_for(version, branch):
    assert Facts(dovecot_version=version).dovecot_branch == branch


def test_the_mark_of_all_drift_changes_with_any_of_it():
    report = {"drift": ["/b", "/a"], "drift_marks": {"/a": "1", "/b": "2"}}
    facts = Facts.from_report(report)
    assert facts.drifted == {"/a": "1", "/b": "2"}
    others = [
        {},
        {"drift": ["/a"], "drift_marks": {"/a": "1"}},
        {"drift": ["/a", "/b"], "drift_marks": {"/a": "1", "/b": "3"}},
        {"drift": ["/a", "/b"]},
    ]
    marks = {Facts.from_report(each).drift_mark for each in others}
    assert len(marks) == 4 and "" in marks and facts.drift_mark not in marks
