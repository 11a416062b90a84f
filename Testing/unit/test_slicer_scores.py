"""The Scores panel without Qt: filters, order, clicks, files, and what it says where there is nothing to show."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import SimpleITK

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import AGREED_ABSENT, FALSE_ALARM, MISSED, Score, ScoreTable
from SegVarianceLib.review.opening import open_review

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.presenter_scores import ScoresPresenter, WorstSlices
from SegVarianceSlicer.state_scores import MOST_ROWS, ScoresState, short_names


class Places:
    """Keeps where it was sent."""

    def __init__(self) -> None:
        self.visited: list[tuple[str, str, str]] = []

    def go_to(
        self, case: str, structure: str, member: str, then: Callable[[], object], failed: Callable[[Exception], object]
    ) -> None:
        if case == "gone":
            failed(SegVarianceError("There is no case 'gone'. Open its folder."))
        else:
            self.visited.append((case, structure, member))
            then()


class Soon:
    """Keeps what is to be done later until the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class Layers:
    """A scene that only knows where it was asked to look."""

    most_shown = 6

    def __init__(self) -> None:
        self.cases: list[str] = []
        self.looked_at: list[tuple[float, ...]] = []

    def open(self, case: str, geometry: object, labels: object) -> None:
        self.cases.append(case)

    def forget(self) -> None:
        self.cases = []

    def has(self, key: str) -> bool:
        return False

    def jump(self, lps_mm: tuple[float, ...]) -> None:
        self.looked_at.append(tuple(lps_mm))


class Made:
    """A presenter with what is left to be done; every look at its clock comes a second later, so that a turn is one step."""

    def __init__(self, session: ReviewSession, places: object):
        self.soon = Soon()
        ticks = itertools.count()
        self.presenter = ScoresPresenter(session, places, self.soon, lambda: float(next(ticks)))


def of_files() -> ScoresPresenter:
    return Made(ReviewSession(Layers()), Places()).presenter


def of_review(session: ReviewSession) -> tuple[ScoresPresenter, Soon]:
    made = Made(session, WorstSlices(session))
    return made.presenter, made.soon


def table(seeds: int = 4, cases: int = 6, recipe: str = "base") -> ScoreTable:
    """Dice and HD95 of two structures; case c0 is worst, and seed 0 missed its 'small'."""
    rng = np.random.default_rng(1)
    lines = []
    for (seed, case, structure), dice in np.ndenumerate(0.8 + rng.normal(0, 0.01, (seeds, cases, 2))):
        who = (recipe, None, seed, f"seed_{seed}", f"c{case}", ("big", "small")[structure])
        missed = (seed, case, structure) == (0, 0, 1)
        absent = (case, structure) == (5, 1)
        note = MISSED if missed else AGREED_ABSENT if absent else ""
        value = 0.0 if missed else None if absent else float(dice)
        lines.append(Score(*who, "dice", value, note))
        lines.append(Score(*who, "hd95_mm", None if note else 10 * (1 - float(dice)), note))
    return ScoreTable(tuple(lines))


@pytest.fixture
def scored(tmp_path: Path) -> ScoresPresenter:
    table().write(tmp_path / "scores.csv")
    presenter = of_files()
    presenter.read(str(tmp_path))
    return presenter


def test_rows_are_a_case_a_structure_and_a_member_worst_first(scored: ScoresPresenter) -> None:
    rows = scored.state.rows
    assert len(rows) == 4 * 6 * 2
    assert (rows[0].case, rows[0].structure, rows[0].member) == ("c0", "small", "base/seed_0")
    assert rows[0].values == (0.0, None) and rows[0].note == MISSED
    measured = [row.values[0] for row in rows if row.values[0] is not None]
    assert measured == sorted(measured)
    assert [column.title for column in scored.state.columns] == ["Dice", "HD95 (mm)"]


def test_by_a_distance_the_largest_is_worst_a_miss_before_it_and_agreed_absence_last(scored: ScoresPresenter) -> None:
    scored.choose(metric="hd95_mm")
    rows = scored.state.rows
    assert rows[0].note == MISSED
    assert {row.note for row in rows[-4:]} == {AGREED_ABSENT}
    measured = [row.values[1] for row in rows if row.values[1] is not None]
    assert measured == sorted(measured, reverse=True)


def test_a_false_alarm_without_a_distance_stands_among_the_worst(tmp_path: Path) -> None:
    lines = [Score("m", None, 0, "seed_0", case, "big", "hd95_mm", value, note) for case, value, note in (
        ("a", 50.0, ""), ("b", None, AGREED_ABSENT), ("c", None, FALSE_ALARM))]  # fmt: skip
    ScoreTable(tuple(lines)).write(tmp_path / "scores.csv")
    presenter = of_files()
    presenter.read(str(tmp_path / "scores.csv"))
    assert [row.case for row in presenter.state.rows] == ["c", "a", "b"]


def test_filters_leave_the_structure_and_the_member_asked_for(scored: ScoresPresenter) -> None:
    scored.choose(structure="big")
    assert {row.structure for row in scored.state.rows} == {"big"} and len(scored.state.rows) == 24
    scored.choose(member="base/seed_2")
    assert {(row.structure, row.member) for row in scored.state.rows} == {("big", "base/seed_2")}
    scored.choose(structure="", member="")
    assert len(scored.state.rows) == 48


def test_the_band_is_as_high_as_two_trainings_differ_and_no_filter_moves_it(scored: ScoresPresenter) -> None:
    plot = scored.state.plot
    assert plot is not None
    values = np.array([[s.value for s in table().scores if (s.seed, s.structure, s.metric) == (seed, "big", "dice")]
                       for seed in range(4)], dtype=float)  # fmt: skip
    t_of_3 = 3.182446305  # 97.5 % of Student's t with 3 degrees of freedom
    low, high = plot.bands["big"]
    assert high - low == pytest.approx(t_of_3 * np.sqrt(2) * values.mean(axis=1).std(ddof=1))
    assert (high + low) / 2 == pytest.approx(values.mean())
    scored.choose(member="base/seed_1", structure="big")
    assert scored.state.plot is not None and scored.state.plot.bands == {"big": (low, high)}
    assert {s.member for s in scored.state.plot.table.scores} == {"seed_1"}


def test_two_trainings_span_no_band_and_the_caption_says_what_would(tmp_path: Path) -> None:
    table(seeds=2).write(tmp_path / "scores.csv")
    presenter = of_files()
    presenter.read(str(tmp_path))
    assert presenter.state.plot is not None
    assert presenter.state.plot.bands == {}
    assert "Three trainings" in presenter.state.plot.caption


def test_members_go_by_the_shortest_name_that_nobody_else_has() -> None:
    assert short_names(("study/seed_01", "study/vote")) == {"study/seed_01": "seed_01", "study/vote": "vote"}
    several = ("base/seed_01", "wide/seed_01", "wide/seed_02")
    assert short_names(several) == {name: name for name in several}
    assert list(short_names(("a/b/x", "a/c/x")).values()) == ["b/x", "c/x"]
    assert short_names(("a/x",)) == {"a/x": "x"} and short_names(("plain",)) == {"plain": "plain"}


def test_a_click_goes_to_the_case_the_structure_and_the_member(scored: ScoresPresenter) -> None:
    row = scored.state.rows[7]
    scored.go_to(row.case, row.structure, row.member)
    assert scored._places.visited == [(row.case, row.structure, row.member)]
    assert scored.state.selected == (row.case, row.structure, row.member)


def test_a_click_that_leads_nowhere_is_said_and_changes_nothing_else(scored: ScoresPresenter) -> None:
    rows = scored.state.rows
    scored.go_to("gone", "big", "base/seed_0")
    assert scored.state.problem == "There is no case 'gone'. Open its folder."
    assert scored.state.rows == rows and scored.state.selected is None


def test_what_the_filters_show_is_written_and_read_again(scored: ScoresPresenter, tmp_path: Path) -> None:
    scored.choose(structure="small")
    scored.export_csv(str(tmp_path / "out.csv"))
    assert ScoreTable.read(tmp_path / "out.csv").scores == table().where(structure="small").scores
    assert scored.state.done.startswith("Wrote 48 scores to ")


def test_a_report_is_written_in_steps_that_say_how_far_they_are(tmp_path: Path) -> None:
    table().write(tmp_path / "scores.csv")
    made = Made(ReviewSession(Layers()), Places())
    made.presenter.read(str(tmp_path))
    shown: list[ScoresState] = []
    made.presenter.show = shown.append
    made.presenter.export_report(str(tmp_path / "report.html"))
    assert made.presenter.state.busy and not (tmp_path / "report.html").exists()
    made.soon.run()
    assert "What was found" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not made.presenter.state.busy and "report.html" in made.presenter.state.done
    shares = [state.progress for state in shown if state.progress is not None]
    assert shares == sorted(shares) and len(shares) > 6


def test_a_report_that_is_stopped_is_not_written(tmp_path: Path) -> None:
    table().write(tmp_path / "scores.csv")
    made = Made(ReviewSession(Layers()), Places())
    made.presenter.read(str(tmp_path))
    made.presenter.export_report(str(tmp_path / "report.html"))
    made.soon.waiting.pop(0)()
    made.presenter.cancel()
    made.soon.run()
    assert not (tmp_path / "report.html").exists() and made.presenter.state.progress is None


def test_a_file_that_cannot_be_written_is_one_sentence(scored: ScoresPresenter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    scored.export_csv(str(tmp_path / "file" / "out.csv"))
    assert scored.state.problem.startswith("That file cannot be written") and scored.state.has_scores


@pytest.mark.parametrize(
    "text", [None, "configuration,seed\n", "configuration,fold,seed,member,case,structure,metric,value,note\n"]
)
def test_no_scores_bad_columns_and_an_empty_table_are_one_sentence_each(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "scores.csv").write_text(text)
    presenter = of_files()
    presenter.read(str(tmp_path))
    assert presenter.state == ScoresState(problem=presenter.state.problem)
    assert presenter.state.problem and "Traceback" not in presenter.state.problem
    presenter.export_report(str(tmp_path / "r.html"))
    assert presenter.state.problem.startswith("There are no scores to write") and not presenter.state.busy


def test_of_very_many_rows_the_worst_are_shown_and_the_summary_says_so(tmp_path: Path) -> None:
    lines = (Score("m", None, 0, "seed_0", f"c{i}", "big", "dice", i / 10000, "") for i in range(MOST_ROWS + 10))
    ScoreTable(tuple(lines)).write(tmp_path / "scores.csv")
    presenter = of_files()
    presenter.read(str(tmp_path))
    assert len(presenter.state.rows) == MOST_ROWS and presenter.state.rows[0].case == "c0"
    assert presenter.state.summary.startswith(f"The {MOST_ROWS} worst of {MOST_ROWS + 10}")


def test_whoever_listens_hears_of_another_table(tmp_path: Path) -> None:
    table().write(tmp_path / "scores.csv")
    presenter, heard = of_files(), []
    presenter.listen(heard.append)
    presenter.read(str(tmp_path))
    assert [len(each.scores) for each in heard] == [96]


def label_map(path: Path, *corners: tuple[int, int, int]) -> None:
    """A map of 12 x 12 x 12 voxels of 1 mm with a cube of 4 at each corner, given [z, y, x]."""
    array = np.zeros((12, 12, 12), dtype=np.uint8)
    for z, y, x in corners:
        array[z : z + 4, y : y + 4, x : x + 4] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))


@pytest.fixture
def session(tmp_path: Path) -> ReviewSession:
    """Cases one and two by members a and b, with references; b misplaces case two, most of all at z 8 and on."""
    for case in ("one", "two"):
        label_map(tmp_path / "labels" / f"{case}.nii.gz", (2, 2, 2))
        label_map(tmp_path / "a" / f"{case}.nii.gz", (2, 2, 2))
    label_map(tmp_path / "b" / "one.nii.gz", (2, 2, 2))
    label_map(tmp_path / "b" / "two.nii.gz", (2, 2, 2), (8, 6, 6))
    session = ReviewSession(Layers())
    session.use(open_review([tmp_path / "a", tmp_path / "b"], references=tmp_path / "labels"), "one")
    return session


def test_the_open_case_is_scored_and_the_next_one_joins_it(session: ReviewSession) -> None:
    presenter, soon = of_review(session)
    presenter.score_case(1.0)
    soon.run()
    assert {row.case for row in presenter.state.rows} == {"one"}
    assert {row.values[0] for row in presenter.state.rows} == {1.0}
    session.open_case("two")
    for _ in range(2):
        presenter.score_case(1.0)
        soon.run()
    assert len(presenter.state.rows) == 6 and "against the reference" in presenter.state.summary
    worst = presenter.state.rows[0]
    assert worst.case == "two" and worst.values[0] == pytest.approx(2 * 64 / (64 + 128))


def test_the_vote_is_scored_beside_the_members_and_a_click_on_it_goes_to_its_worst_slice(
    session: ReviewSession,
) -> None:
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    soon.run()
    votes = {row.case: row.values[0] for row in presenter.state.rows if row.member.endswith("/vote")}
    assert votes == {"one": 1.0, "two": 1.0}, "of two members a draw makes no structure: the cube of one alone goes"
    session.scene.looked_at.clear()
    vote = next(row.member for row in presenter.state.rows if row.member.endswith("/vote"))
    presenter.go_to("two", session.structure, vote)
    assert presenter.state.problem == "" and all(2 <= axis < 6 for axis in session.scene.looked_at[-1])


def test_without_a_case_there_is_one_sentence_and_nothing_is_scored() -> None:
    presenter, _ = of_review(ReviewSession(Layers()))
    presenter.score_case(1.0)
    assert presenter.state == ScoresState(problem="No case is open. Open a folder first.")
    presenter.score_all(1.0)
    assert presenter.state == ScoresState(problem="Nothing is open. Open a folder first.")


def test_all_cases_are_scored_one_after_the_other(session: ReviewSession) -> None:
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    assert (presenter.state.busy, presenter.state.progress) == ("Scoring one…", 0.0)
    soon.run()
    keys = {member.key for member in session.review.members}
    keys.add(f"{session.review.members[0].configuration}/vote")
    assert {(row.case, row.member) for row in presenter.state.rows} == {
        (c, key) for c in ("one", "two") for key in keys
    }
    assert (presenter.state.busy, presenter.state.progress) == ("", None)
    assert session.opened.case.id == "one"  # the case on screen stays
    assert session.scores.scores == presenter.table.scores


def test_cancelled_scoring_keeps_the_cases_that_are_done_and_does_no_more(session: ReviewSession) -> None:
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    while presenter.state.busy.startswith("Scoring one"):
        soon.waiting.pop(0)()
    assert presenter.state.busy.startswith("Scoring two…") and presenter.state.progress == 0.5
    presenter.cancel()
    soon.run()
    assert {row.case for row in presenter.state.rows} == {"one"} and presenter.state.progress is None


def test_what_takes_longer_than_two_seconds_says_how_long(session: ReviewSession) -> None:
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    while presenter.state.busy == "Scoring one…":
        soon.waiting.pop(0)()
    assert presenter.state.busy.startswith("Scoring one… About ") and presenter.state.busy.endswith(" s left.")


def test_a_broken_file_on_the_way_is_one_sentence_and_the_scores_before_it_stay(session: ReviewSession) -> None:
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    next(iter(session.review.members)).files["two"].write_bytes(b"not an image")
    soon.run()
    assert "two.nii.gz" in presenter.state.problem and presenter.state.progress is None
    assert {row.case for row in presenter.state.rows} == {"one"}


def test_where_some_cases_have_references_only_those_are_scored(session: ReviewSession, tmp_path: Path) -> None:
    (tmp_path / "labels" / "one.nii.gz").unlink()
    session.use(open_review([tmp_path / "a", tmp_path / "b"], references=tmp_path / "labels"), "one")
    presenter, soon = of_review(session)
    presenter.score_all(1.0)
    soon.run()
    assert {row.case for row in presenter.state.rows} == {"two"} and "against the reference" in presenter.state.summary
    presenter.score_case(1.0)  # the case on screen has none
    soon.run()
    assert "against the vote" in presenter.state.summary and "have made room" in presenter.state.done
    assert session.scores.scores == (), "scores against a vote say nothing of what is right"


def test_without_references_the_vote_is_what_counts_and_the_summary_says_so(tmp_path: Path) -> None:
    for member, corner in (("a", 2), ("b", 2), ("c", 3)):
        label_map(tmp_path / member / "one.nii.gz", (corner, 2, 2))
    session = ReviewSession(Layers())
    session.use(open_review([tmp_path / member for member in "abc"]))
    presenter, soon = of_review(session)
    presenter.score_case(1.0)
    soon.run()
    assert "against the vote" in presenter.state.summary
    assert [row.values[0] for row in presenter.state.rows] == pytest.approx([0.75, 1.0, 1.0])


def test_the_scores_that_lie_with_what_was_opened_are_taken_at_once(session: ReviewSession) -> None:
    folder = session.review.request.paths[0]
    table().write(folder / "scores.csv")
    presenter, _ = of_review(session)
    session.use(open_review(folder))
    assert len(presenter.state.rows) == 48 and presenter.state.case == "one"


def test_a_click_opens_the_case_and_looks_at_the_slice_where_that_member_is_worst(session: ReviewSession) -> None:
    member = next(each.key for each in session.opened.members if "b" in each.key.split("/"))
    presenter, _ = of_review(session)
    presenter.go_to("two", session.structure, member)
    assert presenter.state.problem == "" and session.opened.case.id == "two"
    assert session.scene.cases == ["one", "two"]
    x, y, z = session.scene.looked_at[-1]
    assert 8 <= z < 12 and 6 <= x < 10 and 6 <= y < 10


def test_a_click_on_a_score_of_a_case_that_is_not_open_anywhere_is_one_sentence() -> None:
    presenter, _ = of_review(ReviewSession(Layers()))
    presenter.go_to("one", "big", "base/seed_0")
    assert presenter.state.problem == "Nothing is open. Open a folder first."


def test_scores_of_other_predictions_go_when_others_are_opened_or_all_is_closed(
    session: ReviewSession, tmp_path: Path
) -> None:
    (presenter, soon), heard = of_review(session), []
    presenter.listen(heard.append)
    presenter.score_all(1.0)
    while presenter.state.busy.startswith("Scoring one"):
        soon.waiting.pop(0)()
    label_map(tmp_path / "other" / "m" / "one.nii.gz", (4, 4, 4))
    session.use(open_review(tmp_path / "other" / "m"))
    soon.run()
    assert presenter.state == ScoresState(case="one") and heard[-1].scores == ()
    presenter.score_case(1.0)
    soon.run()
    session.scene_closed()
    assert presenter.state == ScoresState() and heard[-1].scores == ()


def test_a_click_on_an_ensembles_score_looks_where_the_ensemble_is_worst(tmp_path: Path) -> None:
    """An nnU-Net-like review keeps ensembles apart from members; here the second member is moved there."""
    for case in ("one", "two"):
        label_map(tmp_path / "labels" / f"{case}.nii.gz", (2, 2, 2))
        label_map(tmp_path / "a" / f"{case}.nii.gz", (2, 2, 2))
        label_map(tmp_path / "b" / f"{case}.nii.gz", (2, 2, 2), (8, 6, 6))
    review = open_review([tmp_path / "a", tmp_path / "b"], references=tmp_path / "labels")
    member, ensemble = review.members
    session = ReviewSession(Layers())
    session.use(replace(review, members=(member,), ensembles=(ensemble,)))
    of_review(session)[0].go_to("two", session.structure, ensemble.key)
    x, y, z = session.scene.looked_at[-1]
    assert 8 <= z < 12 and 6 <= x < 10 and 6 <= y < 10


def test_a_report_on_a_single_case_is_written_too(session: ReviewSession, tmp_path: Path) -> None:
    presenter, soon = of_review(session)
    presenter.score_case(1.0)
    soon.run()
    presenter.export_report(str(tmp_path / "one.html"))
    soon.run()
    assert (tmp_path / "one.html").is_file() and presenter.state.problem == ""


@pytest.fixture
def strip(monkeypatch: pytest.MonkeyPatch, scored: ScoresPresenter) -> tuple[object, object, ScoresPresenter]:
    """The panel's strip plot in a real chart of VTK, where a ctkVTKChartView would be, and that chart's view."""
    vtk = pytest.importorskip("vtk", reason="the strip plot needs vtk, which comes with slicer-core")
    view = vtk.vtkContextView()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(400, 300)
    window.SetInteractor(vtk.vtkRenderWindowInteractor())
    chart = vtk.vtkChartXY()
    view.GetScene().AddItem(chart)
    shown = SimpleNamespace(chart=lambda: chart, renderWindow=lambda: window)
    for name, content in (
        ("qt", {}),
        ("slicer", {}),
        ("ctk", {"ctkVTKChartView": lambda: shown}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    from SegVarianceSlicer.panels.scores import StripView

    holder = SimpleNamespace(
        layout=lambda: SimpleNamespace(addWidget=lambda widget: None), setVisible=lambda is_seen: None
    )
    yield StripView(holder, scored.go_to), window, scored
    for name in set(sys.modules) - before:
        if name.startswith("SegVarianceSlicer.panels"):
            del sys.modules[name]


def test_a_click_on_a_point_of_the_plot_goes_where_the_point_is_from(strip) -> None:
    plotted, window, presenter = strip
    plotted.show(presenter.state.plot)
    window.Render()
    chart, interactor = plotted._view.chart(), window.GetInteractor()
    wanted = presenter.state.rows[0]  # Dice 0, far from every other point
    places = [
        (axis.GetPoint1()[along], axis.GetPoint2()[along], axis.GetMinimum(), axis.GetMaximum())
        for axis, along in ((chart.GetAxis(1), 0), (chart.GetAxis(0), 1))
    ]
    left, right, *_ = places[0]
    bottom, top, low, high = places[1]
    y = bottom + (0.0 - low) / (high - low) * (top - bottom)
    for x in range(round(left), round(right), 5):  # along the line of that value, as wherever its member stands
        interactor.SetEventInformation(x, round(y))
        interactor.InvokeEvent("LeftButtonReleaseEvent")
    assert set(presenter._places.visited) == {(wanted.case, wanted.structure, wanted.member)}
    plotted.show(None)
    interactor.InvokeEvent("LeftButtonReleaseEvent")  # nothing is drawn, so nothing happens
