from __future__ import annotations

from pi_agent.session import audit
from pi_agent.session.audit import Known
from tests.support.journal import Journal

_ROOT = "/home/alice/p"
_KNOWN = Known("/p.json").of_user("alice").in_root(_ROOT).of_unit("u.service")
_FIELDS = [
    ("PI_AGENT_POLICY", "/p.json"),
    ("PI_AGENT_HOST_USER", "alice"),
    ("PI_AGENT_PROJECT_ROOT", _ROOT),
    ("PI_AGENT_UNIT", "u.service"),
]


def test_of_a_launch_the_start_and_the_end_are_told_with_all_that_is_known(journal: Journal) -> None:
    audit.started(_KNOWN)
    audit.ended(_KNOWN, 137)
    assert journal.entries() == [
        [
            ("MESSAGE", "session u.service starts"), ("PRIORITY", "6"), ("SYSLOG_IDENTIFIER", "pi-agent"),
            ("PI_AGENT_EVENT", "start"), *_FIELDS,
        ],
        [
            ("MESSAGE", "session u.service ended: 137"), ("PRIORITY", "6"), ("SYSLOG_IDENTIFIER", "pi-agent"),
            ("PI_AGENT_EVENT", "end"), ("PI_AGENT_OUTCOME", "137"), *_FIELDS,
        ],
    ]  # fmt: skip


def test_who_was_refused_is_told_with_what_was_known_by_then(journal: Journal) -> None:
    steps = [Known("/p.json"), Known("/p.json").of_user("1000"), Known("/p.json").of_user("alice"), _KNOWN]
    for known in steps:
        audit.refused(known, 77, "no such root")
    entries = journal.entries()
    for entry in entries:
        assert entry[:5] == [
            ("MESSAGE", "refused: no such root"), ("PRIORITY", "5"), ("SYSLOG_IDENTIFIER", "pi-agent"),
            ("PI_AGENT_EVENT", "refused"), ("PI_AGENT_OUTCOME", "77"),
        ]  # fmt: skip
    assert [entry[5:] for entry in entries] == [
        _FIELDS[:1],
        [_FIELDS[0], ("PI_AGENT_HOST_USER", "1000")],
        _FIELDS[:2],
        _FIELDS,
    ]


def test_what_is_known_grows_by_new_values_and_forgets_nothing() -> None:
    asked = Known("/p.json")
    named = asked.of_user("1000").of_user("alice")
    launched = named.of_unit("u.service")
    assert asked == Known("/p.json")
    assert named == Known("/p.json", "alice")
    assert launched == Known("/p.json", "alice", None, "u.service")
    assert launched.of_user("bob") == Known("/p.json", "bob", None, "u.service")


def test_a_launch_without_a_project_has_no_root() -> None:
    assert "PI_AGENT_PROJECT_ROOT" not in Known("/p.json", "alice").of_unit("u.service").fields()
