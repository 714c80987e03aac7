"""The parts of `make bench` that need no machine: statistics, rows, the report, what is kept of it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmark import __main__ as bench
from benchmark import figures, launch_steps, plot, results, rows, trees
from benchmark.figures import Figure, Round, Runs
from benchmark.kept import Kept
from benchmark.results import Result
from benchmark.rows import Bound
from harness.run import CheckError

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


def test_processor_time_is_shared_out_among_the_runs() -> None:
    assert figures.processor("1000000 1900000\n", 9) == pytest.approx(0.1)


def test_a_timed_launch_is_compared_with_both_layouts_and_by_processor_time() -> None:
    first = [Runs((4.0, 4.0), 3.0), Runs((2.0, 2.0), 2.0), Runs((1.0, 1.0), 9.0)]
    measured = results.timed([first, [Runs((6.0, 6.0), 5.0), Runs((2.0, 2.0), 2.0), Runs((2.0, 2.0), 9.0)]])
    assert measured.rounds == (Round((4.0, 4.0), (2.0, 2.0)), Round((6.0, 6.0), (2.0, 2.0)))
    assert measured.alike == (Round((4.0, 4.0), (1.0, 1.0)), Round((6.0, 6.0), (2.0, 2.0)))
    assert measured.processor == (Round((3.0,), (2.0,)), Round((5.0,), (2.0,)))
    assert measured.value.median == 2.5


def test_processor_time_is_left_out_where_something_else_ran_in_between() -> None:
    measured = results.timed([[Runs((4.0,), None), Runs((2.0,), None)]])
    assert (measured.value.median, measured.alike, measured.processor) == (2.0, (), ())


def test_the_steps_of_a_launch_are_found_in_what_it_told() -> None:
    report = '{"steps": [{"name": "start", "seconds": 0.03}, {"name": "session end", "seconds": 0.002}], "seconds": 1}'
    expected = [("start", 0.03), ("session end", 0.002)]
    assert launch_steps.read(f"a notice\n{report}\n") == expected
    assert launch_steps.read(f"\x1b[?25h\x1b[m\r{report}\r\n") == expected
    with pytest.raises(ValueError, match="no steps in 'pi: refused'"):
        launch_steps.read("pi: refused")


@pytest.mark.parametrize("number", [50, 250])
def test_a_large_project_has_as_many_directories_as_it_should(tmp_path: Path, number: int) -> None:
    trees.directories(tmp_path / "project", number)
    there = [path for path in (tmp_path / "project").rglob("*") if path.is_dir() and ".git" not in path.parts]
    assert len(there) == number
    trees.repositories(tmp_path / "many", number)
    assert len(list((tmp_path / "many").rglob(".git/config"))) == number + 1


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


def test_each_row_has_what_measures_it() -> None:
    # By its text: what measures can be imported in the machine alone.
    text = Path(bench.__file__).with_name("compared.py").read_text()
    assert re.findall(r'^    "([a-z-]+)": ', text, re.MULTILINE) == [row.key for row in rows.ROWS]


def test_results_survive_being_written_and_read() -> None:
    [steps] = rows.chosen(["steps"])
    [pipe] = rows.chosen(["launch-pipe"])
    both = results.compared("s", _ROUNDS, "a detail", alike=_ROUNDS[:2], processor=_ROUNDS[1:])
    found = [Result(pipe, both), _result("refusal"), Result(steps, None, "pi-true\nwhat it said")]
    assert results.load(results.dump({"cores": 2}, found)) == ({"cores": 2}, found)


def test_the_table_says_what_was_reached_missed_told_and_failed() -> None:
    [steps] = rows.chosen(["steps"])
    told, missed, reached = _result("context-sudo"), _result("launch-pipe"), _result("refusal")
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


def test_the_table_has_the_ratio_to_our_layout_and_processor_time() -> None:
    [pipe] = rows.chosen(["launch-pipe"])
    processor = [Round((0.159,), (0.088,)), Round((0.161,), (0.088,))]
    measured = results.compared("s", _ROUNDS, alike=_ROUNDS[:1], processor=processor)
    cells = [cell.strip() for cell in results.table([Result(pipe, measured)]).splitlines()[2].split("|")]
    assert cells[5:7] == ["3.00", "160 / 88 ms: 1.82"]
    cells = [cell.strip() for cell in results.table([_result("refusal")]).splitlines()[2].split("|")]
    assert cells[5:7] == ["—", "—"]


def test_values_are_drawn_as_shares_of_their_bounds() -> None:
    [pipe, throughput] = rows.chosen(["launch-pipe", "throughput-pipe"])
    measured = results.Measured("s", (), Figure(1.9, 1.0, 2.7, 3))
    assert plot.scaled(pipe, measured) == pytest.approx((1.9 / 1.3, 1 / 1.3, 2.7 / 1.3))
    assert plot.scaled(throughput, measured) == pytest.approx((0.5, 0.95 / 2.7, 0.95))


def test_the_plot_is_an_svg(tmp_path: Path) -> None:
    plot.draw([_result("launch-pipe"), _result("context-sudo")], tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


# -- what is kept

_ABOUT = '{"cores": 2}'


@pytest.fixture(autouse=True)
def same_handlers() -> Iterator[None]:
    """The program handles signals until it ends; these tests go on."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def _lines(*keys: str) -> list[str]:
    return [_ABOUT, *(json.dumps(results.dumped(_result(key))) for key in keys)]


@dataclass
class _Machine:
    """A machine that writes these lines. signals: comes before the last of them. error: comes at the end."""

    lines: Sequence[str]
    signals: Sequence[signal.Signals] = ()
    error: CheckError | None = None
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True

    def __iter__(self) -> Iterator[str]:
        yield from self.lines[:-1]
        for number in self.signals:
            os.kill(os.getpid(), number)
        yield self.lines[-1]
        if self.error is not None:
            raise self.error

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Have the program measure with this machine, and keep the results in this folder."""
        monkeypatch.setattr(bench, "FOLDER", folder)
        monkeypatch.setattr(bench, "_measuring", lambda _names, _pace: self)


def test_each_row_is_kept_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "results", rows.chosen(["launch", "refusal"]))
    about, pipe, refusal, terminal = map(json.loads, _lines("launch-pipe", "refusal", "launch-terminal"))
    kept.add(about)
    assert not (tmp_path / "results").exists()
    kept.add(pipe)
    about, found = results.load((tmp_path / "results/results.json").read_text())
    assert (about, found) == ({"cores": 2, "missing": ["launch-terminal", "refusal"]}, [_result("launch-pipe")])
    assert "\nNot measured: launch-terminal, refusal.\n\ncores 2\n" in (tmp_path / "results/results.md").read_text()
    kept.add(refusal)
    kept.add(terminal)
    about, found = results.load((tmp_path / "results/results.json").read_text())
    assert (about["missing"], len(found)) == ([], 3)
    assert "Not measured" not in (tmp_path / "results/results.md").read_text()


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGHUP, signal.SIGTERM]], ids=str
)
def test_an_interruption_keeps_what_was_measured_and_says_what_was_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    signals: Sequence[signal.Signals],
) -> None:
    # The last row was measured, but not yet read.
    machine = _Machine(_lines("launch-pipe", "refusal"), signals=signals)
    machine.put_in_place(monkeypatch, tmp_path)
    assert bench.main(["--rows=launch,refusal"]) == 130
    assert machine.stopped
    said = capfd.readouterr()
    assert "bench: interrupted; " in said.err
    assert "bench: kept 2 rows; not measured: launch-terminal\n" in said.err
    assert "| launch, through pipes" in said.out and "| refusal" in said.out
    assert len(results.load((tmp_path / "results.json").read_text())[1]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md", "results.svg"}


def test_a_second_interruption_waits_for_nothing_and_costs_no_row_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _Machine(_lines("launch-pipe", "refusal"), signals=[signal.SIGINT, signal.SIGINT])
    machine.put_in_place(monkeypatch, tmp_path)
    assert bench.main(["--rows=launch,refusal"]) == 130
    assert results.load((tmp_path / "results.json").read_text())[1] == [_result("launch-pipe")]


def test_an_interruption_before_the_first_row_keeps_the_earlier_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text("earlier")
    _Machine(_lines(), signals=[signal.SIGINT]).put_in_place(monkeypatch, tmp_path)
    assert bench.main([]) == 130
    assert (tmp_path / "results.json").read_text() == "earlier"
    assert "bench: no row was measured; earlier results stay as they are\n" in capfd.readouterr().err


def test_a_machine_that_fails_costs_no_row_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    machine = _Machine(_lines("refusal"), error=CheckError("it has ended", "start it"))
    machine.put_in_place(monkeypatch, tmp_path)
    assert bench.main(["--rows=refusal,steps"]) == 2
    said = capfd.readouterr().err
    assert "bench: it has ended\nstart it\n" in said and "bench: kept 1 row; not measured: steps\n" in said
    assert results.load((tmp_path / "results.json").read_text())[1] == [_result("refusal")]


def test_the_status_says_whether_all_bounds_were_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, status in (("refusal", 0), ("launch-pipe", 1)):
        _Machine(_lines(key)).put_in_place(monkeypatch, tmp_path)
        assert bench.main([f"--rows={key}"]) == status
    assert bench.main(["--rows=lunch"]) == 2
