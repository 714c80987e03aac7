from __future__ import annotations

import sys
from subprocess import run

import pytest

from pi_agent.python.records import record


@record
class Point:
    """A place."""

    x: int
    y: int = 0

    @property
    def sum(self) -> int:
        return self.x + self.y


def test_values_come_in_order_by_name_or_by_default() -> None:
    assert (Point(1, 2).x, Point(1, 2).y) == (1, 2)
    assert Point(1, 2) == Point(1, y=2) == Point(y=2, x=1)
    assert Point(1) == Point(1, 0)
    assert Point(3, 4).sum == 7
    assert Point.__doc__ == "A place."


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1}), ((1, 2), {"y": 2})],
)
def test_a_wrong_number_or_name_is_an_error(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="Point takes 2 values"):
        Point(*values, **named)


def test_records_are_compared_and_hashed_by_their_values() -> None:
    assert Point(1, 2) != Point(2, 1)
    assert {Point(1, 2), Point(1, 2)} == {Point(1, 2)}
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_a_record_cannot_be_changed_nor_grow() -> None:
    point = Point(1, 2)
    for name in ("x", "sum", "z"):
        with pytest.raises(AttributeError):
            setattr(point, name, 5)
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")
    assert point == Point(1, 2)


def test_a_record_costs_no_import() -> None:
    code = "import sys; before = {*sys.modules}; import pi_agent.python.records; print(*{*sys.modules} - before)"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} <= {
        "__future__",
        "_operator",
        "gc",
        "pi_agent",
        "pi_agent.python",
        "pi_agent.python.bundle",
        "pi_agent.python.records",
    }
