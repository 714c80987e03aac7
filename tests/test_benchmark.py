"""The pure parts of `make bench`: statistics, rows, the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark import figures, plot, results, rows
from benchmark.figures import Figure, Round
from benchmark.results import Result
from benchmark.rows import Bound

_ROUNDS = (Round((2.0, 4.0), (1.0, 1.0)), Round((3.0, 3.0), (2.0, 2.0)), Round((8.0, 8.0), (2.0, 2.0)))


def _result(key: str, rounds: tuple[Round, ...] = _ROUNDS) -> Result:
    [row] = rows.chosen([key])
    return Result(row, results.compared("s", rounds, "a detail"))


def test_a_figure_is_the_median_with_the_quartiles() -> None:
    assert figures.figure([5, 1, 2, 4, 3]) == Figure(3, 2, 4, 5)
    assert figures.figure([7.0]) == Figure(7.0, 7.0, 7.0, 1)


def test_a_ratio_is_of_all_medians_and_its_spread_of_the_rounds() -> None:
    # All of ours: 2 3 3 4 8 8; of the reference: 1 1 2 2 2 2. The rounds' own ratios: 3, 1.5, 4.
    assert figures.ratio(_ROUNDS) == Figure(3.5 / 2, 2.25, 3.5, 3)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    points = [(float(x), 3 * float(x) ** power) for x in (100, 1_000, 10_000, 100_000)]
    assert figures.exponent(points) == pytest.approx(power)


def test_what_has_no_logarithm_is_refused() -> None:
    with pytest.raises(ValueError, match="no logarithm"):
        figures.exponent([(1, 1), (2, 0)])


def test_a_bound_is_the_most_or_the_least() -> None:
    assert Bound(2).reached(2) and not Bound(2).reached(2.01)
    assert Bound(2, least=True).reached(2) and not Bound(2, least=True).reached(1.99)
    assert [str(Bound(1.35)), str(Bound(0.95, least=True))] == ["≤ 1.35", "≥ 0.95"]


def test_rows_are_chosen_by_name_and_by_group() -> None:
    assert [row.key for row in rows.chosen(["sync-first", "launch"])] == [
        "launch-pipe",
        "launch-terminal",
        "sync-first",
    ]
    assert rows.chosen([]) == list(rows.ROWS)
    with pytest.raises(ValueError, match="no row is called lunch; there are launch-pipe, "):
        rows.chosen(["launch", "lunch"])


def test_names_of_rows_are_unique() -> None:
    assert len({row.key for row in rows.ROWS}) == len(rows.ROWS)


def test_results_survive_being_written_and_read() -> None:
    [steps] = rows.chosen(["steps"])
    found = [_result("launch-pipe"), Result(steps, None, "pi-true\nwhat it said")]
    assert results.load(results.dump({"cores": 2}, found)) == ({"cores": 2}, found)


def test_the_table_says_what_was_reached_missed_told_and_failed() -> None:
    [steps] = rows.chosen(["steps"])
    told, missed, reached = _result("context-sudo"), _result("launch-pipe"), _result("memory")
    failed = Result(steps, None, "pi-true --flag\nwhat it said")
    assert [each.good for each in (told, missed, reached, failed)] == [True, False, True, False]
    text = results.table([told, missed, failed])
    assert "| 3500 ms (3000–7000) | 2000 ms (1250–2000): sudo -u pi-agent true" in text
    lines = text.splitlines()
    assert len({len(line) for line in lines[:5]}) == 1
    assert [line.split("|")[-2].strip() for line in lines[2:5]] == ["told", "MISSED", "FAILED"]
    assert "1.75 (2.25–3.50)" in lines[2]
    assert "steps:\n  pi-true --flag\n  what it said" in text
    assert "launch-pipe:\n  a detail" in text


def test_values_are_drawn_as_shares_of_their_bounds() -> None:
    [pipe, throughput] = rows.chosen(["launch-pipe", "throughput-pipe"])
    measured = results.Measured("s", (), Figure(1.9, 1.0, 2.7, 3))
    assert plot.scaled(pipe, measured) == pytest.approx((1.9 / 1.35, 1 / 1.35, 2))
    assert plot.scaled(throughput, measured) == pytest.approx((0.5, 0.95 / 2.7, 0.95))


def test_the_plot_is_an_svg(tmp_path: Path) -> None:
    plot.draw([_result("launch-pipe"), _result("context-sudo")], tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
