"""Open, Look, and Ensemble and clean without Qt and without Slicer: real folders, real votes, a scene that only remembers."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map, write_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.label_votes import vote
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.review.description import Review

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.parameters import ReviewPresenters, recall, remember
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import REFERENCE, VOTE, ReviewSession
from SegVarianceSlicer.presenter_scores import WorstSlices
from SegVarianceSlicer.sample import make_sample

GRID = Geometry((12, 10, 8), (1.0, 2.0, 5.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
VOXEL_ML = 0.01


class RememberedScene:
    """What the presenters asked for; ``layers`` are the label maps by key."""

    most_shown = 6

    def __init__(self):
        self.forget()
        self.jumps, self.kept = [], {}

    def open(self, case, geometry, labels):
        self.forget()
        self.case = case

    def forget(self):
        self.case, self.layers, self.views, self.image, self.map = None, {}, [], None, None

    close = forget

    def set_image(self, title, array):
        self.image = (title, array)

    def has(self, key):
        return key in self.layers

    def put(self, key, folder, title, label_map):
        self.layers[key] = label_map

    def arrange(self, views):
        missing = [key for _, keys in views for key in keys if key not in self.layers]
        assert not missing, f"{missing} are to be shown and not in the scene"
        self.views = [(label, list(keys)) for label, keys in views]

    def show_map(self, kind, values):
        self.map = None if values is None else (kind, values)

    def jump(self, lps_mm):
        self.jumps.append(tuple(lps_mm))

    def keep(self, title, label_map):
        self.kept[title] = label_map

    def save(self, path, title, label_map):
        write_label_map(path, label_map, GRID)


class Module:
    """The three presenters over one session, as the module has them."""

    def __init__(self, later=lambda act: act()):
        self.scene = RememberedScene()
        self.session = ReviewSession(self.scene, later=later)
        self.open = OpenPresenter(self.session)
        ticks = itertools.count()  # a turn is one step
        self.look = LookPresenter(self.session, lambda: float(next(ticks)))
        self.ensemble = EnsemblePresenter(self.session, self.look.result_changed)

    def opened(self, folder):
        self.open.look_into((str(folder),))
        self.open.confirm()
        assert self.open.state.problems == ()
        return self


def tumour(core: int, whole: int, island: bool = False) -> np.ndarray:
    """Values 2 (whole) around 1 (core), as bars along x, and an island of two voxels of value 2."""
    drawn = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    drawn[2:5, 2:6, 1 : 1 + whole] = 2
    drawn[3, 3:5, 1 : 1 + core] = 1
    drawn[3, 3, 1] = 4
    if island:
        drawn[7, 9, 10:12] = 2
    return drawn


MEMBERS = {"a": tumour(4, 8, True), "b": tumour(5, 7, True), "c": tumour(3, 9)}


@pytest.fixture
def folder(tmp_path):
    """Cases p and q of three members, with images; q has a reference."""
    for name, drawn in MEMBERS.items():
        for case in "pq":
            write_label_map(tmp_path / "set" / name / f"{case}.nii.gz", drawn, GRID)
    for case in "pq":
        write_map(tmp_path / "set" / "images" / f"{case}.nii.gz", np.full(GRID.shape_zyx, ord(case)), GRID)
    write_label_map(tmp_path / "set" / "labels" / "q.nii.gz", MEMBERS["b"], GRID)
    return tmp_path / "set"


@pytest.fixture
def module(folder):
    return Module().opened(folder)


def test_what_a_folder_holds_is_said_before_anything_is_opened(folder):
    module = Module()
    module.open.look_into((str(folder),))
    state = module.open.state
    assert state.can_confirm and not state.is_open and module.scene.case is None
    assert "3 members, 2 cases; images of 2 and references of 1 of them" in state.found
    assert [(row.title, row.cases) for row in state.members] == [("set · a", 2), ("set · b", 2), ("set · c", 2)]
    assert state.guess == "Each folder is a member, each file in it a case."
    module.open.confirm()
    assert module.open.state.is_open and module.scene.case == "p"


def test_a_pattern_that_the_user_gives_is_used_instead_of_the_guess(folder):
    module = Module()
    module.open.look_into((str(folder),), pattern="{case}/{member}")
    assert {row.title for row in module.open.state.members} == {"set · p", "set · q"}


def write_other_grid(folder):
    shifted = Geometry(GRID.size, GRID.spacing_mm, (30, 0, 0), GRID.direction)
    write_label_map(folder / "c" / "q.nii.gz", MEMBERS["c"], shifted)


def write_fractions(folder):
    write_map(folder / "c" / "q.nii.gz", np.full(GRID.shape_zyx, 0.5), GRID)


def cut_short(folder):
    (folder / "c" / "q.nii.gz").write_bytes((folder / "c" / "q.nii.gz").read_bytes()[:60])


@pytest.mark.parametrize("spoil", [write_other_grid, write_fractions, cut_short])
def test_a_bad_file_is_one_sentence_and_what_was_open_stays(module, folder, spoil):
    before = module.session.opened
    spoil(folder)
    module.open.look_into((str(folder),))
    if module.open.state.can_confirm:  # fractions show when they are read
        module.open.confirm()
        module.look.choose_case("q")
        problems = (module.look.state.problem,)
    else:
        module.open.confirm()
        problems = module.open.state.problems
    assert "q.nii.gz" in problems[0] and "Traceback" not in problems[0]
    assert module.scene.case == "p" and module.session.opened.case.id == before.case.id == "p"


@pytest.mark.parametrize("what", ["nothing there", "no label maps"])
def test_a_folder_without_predictions_is_one_sentence(tmp_path, what):
    folder = tmp_path / "empty"
    if what == "no label maps":
        folder.mkdir()
    module = Module()
    module.open.look_into((str(folder),))
    assert len(module.open.state.problems) == 1 and str(folder) in module.open.state.problems[0]
    assert not module.open.state.can_confirm
    module.open.confirm()
    assert module.scene.case is None


def test_no_folder_at_all_is_no_problem_yet():
    module = Module()
    module.open.look_into(())
    assert module.open.state.problems == () and not module.open.state.can_confirm


def test_what_has_landed_since_is_counted_and_the_case_stays_on_screen(module, folder):
    write_label_map(folder / "d" / "p.nii.gz", MEMBERS["a"], GRID)
    module.look.choose_case("q")
    module.open.look_again()
    assert module.open.state.landed == "1 new label map landed since."
    assert module.session.opened.case.id == "q"
    module.look.choose_case("p")
    assert "set/d" in {layer.key for layer in module.look.state.layers}


def test_cases_go_round_and_round(module):
    module.look.next_case(1)
    assert module.scene.case == "q" and module.look.state.case == "q"
    module.look.next_case(1)
    assert module.look.state.case == "p"
    module.look.next_case(-1)
    assert module.look.state.case == "q"
    np.testing.assert_array_equal(module.scene.image[1], np.full(GRID.shape_zyx, ord("q")))


def ids(module: Module) -> list[str]:
    return [case.id for case in module.look.state.by.cases]


@pytest.fixture
def graded(tmp_path):
    """Cases p, q and r without references, in which members agree wholly, in part and less."""
    for case, shifts in {"p": (0, 0), "q": (0, 2), "r": (0, 1)}.items():
        for name, shift in zip("ab", shifts, strict=True):
            write_label_map(tmp_path / "set" / name / f"{case}.nii.gz", np.roll(tumour(4, 6), shift, axis=2), GRID)
    return tmp_path / "set"


def test_worst_first_without_references_orders_by_how_far_members_agree(graded):
    module = Module().opened(graded)
    assert ids(module) == ["p", "q", "r"] and module.look.state.by.words == ""
    module.look.choose_order("worst")
    by = module.look.state.by
    assert ids(module) == ["q", "r", "p"]
    assert by.cases[-1].title == "p · Dice 1.00" and by.busy == "" and by.progress is None
    assert (
        by.words
        == "Mean Dice between two members, since there is no reference; mean of all structures. Lowest first, 1 is best."
    )
    module.look.choose_case("q")
    module.look.next_case(1)
    assert module.look.state.case == "r", "next follows the order that is shown"
    module.look.choose_order("name")
    assert ids(module) == ["p", "q", "r"] and [case.title for case in module.look.state.by.cases] == ["p", "q", "r"]


def test_worst_first_of_a_structure_counts_that_structure_alone(graded):
    drawn = tumour(4, 6)
    drawn[drawn == 4] = 0
    write_label_map(graded / "b" / "p.nii.gz", drawn, GRID)  # p lacks label_4 in one member
    module = Module().opened(graded)
    assert [each.title for each in module.look.state.by.orders] == [
        "By name", "Worst first: all structures", *(f"Worst first: label_{value}" for value in (1, 2, 4)),
    ]  # fmt: skip
    module.look.choose_order("worst:label_4")
    assert module.look.state.by.cases[0].title in ("p · Dice 0.00", "q · Dice 0.00")
    module.look.choose_order("worst:label_2")
    assert ids(module)[-1] == "p"


def test_with_references_the_votes_dice_orders_and_cases_without_one_stand_last(module, folder):
    module.look.choose_order("worst")
    by = module.look.state.by
    assert ids(module) == ["q", "p"] and by.cases[0].title.startswith("q · Dice 0.9") and by.cases[1].title == "p"
    assert by.words.startswith("Dice of the members' vote against the reference")
    assert by.words.endswith("1 of 2 cases have no number and stand last.")


def test_scores_that_somebody_has_made_order_the_cases_without_any_work(module):
    table = [
        Score("set", None, None, "a", "q", name, "dice", value) for name, value in (("label_1", 0.5), ("label_2", 0.7))
    ]
    module.session.use_scores(ScoreTable(tuple(table)))
    later, module.session.later = module.session.later, lambda act: pytest.fail("nothing is to be worked out")
    module.look.choose_order("worst")
    assert module.look.state.by.cases[0].title == "q · Dice 0.60"
    assert "the members on average against the reference" in module.look.state.by.words
    module.session.later = later


def test_working_out_the_order_can_be_stopped_and_goes_on_when_asked_again(graded):
    module, waiting = Module(later=lambda act: waiting.append(act)), []
    module.opened(graded)
    while waiting:
        waiting.pop(0)()
    module.look.choose_order("worst")
    assert module.look.state.by.busy.startswith("Comparing p…") and ids(module) == ["p", "q", "r"]
    while "Comparing r" not in module.look.state.by.busy:
        waiting.pop(0)()
    module.look.stop()
    waiting.clear()
    assert ids(module) == ["q", "p", "r"] and module.look.state.by.words.endswith(
        "1 of 3 cases have no number and stand last."
    )
    module.look.choose_order("worst")
    while waiting:
        waiting.pop(0)()
    assert ids(module) == ["q", "r", "p"]


def test_a_case_that_cannot_be_read_is_said_and_the_others_are_ordered(graded):
    module = Module().opened(graded)
    (graded / "a" / "r.nii.gz").write_bytes(b"not an image")
    module.look.choose_order("worst")
    assert "r.nii.gz" in module.look.state.problem and ids(module) == ["q", "p", "r"]


def test_the_next_structure_is_looked_at_in_its_middle_and_absent_ones_are_passed_over(module):
    assert module.look.state.structures == ("label_1", "label_2", "label_4")
    module.look.choose_structure("label_4")
    assert module.scene.jumps[-1] == pytest.approx((1.0, 6.0, 15.0))
    module.session.set_result(np.where(module.session.result == 1, 0, module.session.result))
    module.look.next_structure(1)
    assert module.look.state.structure == "label_2"
    module.look.next_structure(-1)
    assert module.look.state.structure == "label_4"


def test_the_vote_the_reference_and_members_are_shown_as_ticked(module):
    assert module.scene.views == [("", [VOTE, "set/a", "set/b", "set/c"])]
    module.look.tick("set/b", False)
    assert module.scene.views == [("", [VOTE, "set/a", "set/c"])]
    module.look.choose_case("q")
    assert module.scene.views == [("", [VOTE, "set/a", "set/c"])], "the same as in the case before"
    module.look.tick(REFERENCE, True)
    assert module.scene.views == [("", [VOTE, REFERENCE, "set/a", "set/c"])]
    np.testing.assert_array_equal(module.scene.layers[REFERENCE], MEMBERS["b"])
    np.testing.assert_array_equal(module.scene.layers["set/a"], MEMBERS["a"])


def test_each_ticked_layer_has_a_view_of_its_own_and_the_vote_stands_against_one_member(module):
    module.look.tick("set/a", False)
    module.look.arrange("beside")
    assert module.scene.views == [("V", [VOTE]), ("2", ["set/b"]), ("3", ["set/c"])]
    module.look.arrange("against")
    assert module.scene.views == [("V", [VOTE]), ("1", ["set/a"])]
    module.look.choose_against("set/c")
    assert module.scene.views == [("V", [VOTE]), ("3", ["set/c"])]


def test_a_seventh_layer_is_refused_with_a_sentence(tmp_path):
    module = Module().opened(make_sample(tmp_path / "sample", cases=1))
    assert sum(layer.ticked for layer in module.look.state.layers) == 6
    left = next(layer.key for layer in module.look.state.layers if not layer.ticked)
    views = module.scene.views
    module.look.tick(left, True)
    assert module.look.state.problem == "6 layers are shown already. Untick one first."
    assert module.scene.views == views


def test_a_member_that_is_asked_for_is_shown_and_the_last_layer_makes_room(tmp_path):
    module = Module().opened(make_sample(tmp_path / "sample", cases=1))
    ((_, before),) = module.scene.views
    asked = next(layer.key for layer in module.look.state.layers if not layer.ticked)
    module.session.show_layer(asked)
    ((_, after),) = module.scene.views
    assert after == [*before[:-1], asked] and module.look.state.problem == ""
    module.session.show_layer(asked)
    module.session.show_layer("nobody")
    assert module.scene.views == [("", after)]
    module.look.arrange("against")
    module.session.show_layer(before[-1])
    assert [keys for _, keys in module.scene.views] == [[VOTE], [before[-1]]]


def test_a_click_on_a_score_shows_that_member_at_its_worst_slice(module):
    module.look.tick("set/c", False)
    WorstSlices(module.session).go_to("q", "label_2", "set/c")
    assert module.look.state.case == "q" and module.look.state.structure == "label_2"
    assert "set/c" in module.scene.views[0][1]
    module.look.tick(VOTE, False)
    WorstSlices(module.session).go_to("q", "label_2", "set/vote")
    assert VOTE in module.scene.views[0][1]


def test_maps_follow_the_members_that_vote(module):
    module.look.choose_map("agreement")
    kind, values = module.scene.map
    assert kind == "agreement" and values.min() == pytest.approx(2 / 3)
    module.ensemble.tick_all(frozenset({"set/a"}))
    assert module.scene.map[1].min() == 1
    module.look.choose_map("none")
    assert module.scene.map is None


def test_the_vote_is_that_of_the_ticked_members_at_once(module):
    labels = labels_of_values((1, 2, 4))
    np.testing.assert_array_equal(module.scene.layers[VOTE], vote(MEMBERS.values(), labels).label_map)
    module.ensemble.tick("set/c", False)
    expected = vote([MEMBERS["a"], MEMBERS["b"]], labels).label_map
    np.testing.assert_array_equal(module.scene.layers[VOTE], expected)
    state = module.ensemble.state
    assert state.result == "2 of 3 members vote."
    volumes = {each.name: each.volume_ml for each in state.volumes}
    assert volumes == pytest.approx({f"label_{v}": (expected == v).sum() * VOXEL_ML for v in (1, 2, 4)})


def test_the_last_member_cannot_be_unticked(module):
    for key in ("set/a", "set/b"):
        module.ensemble.tick(key, False)
    before = module.scene.layers[VOTE]
    module.ensemble.tick("set/c", False)
    assert "Select at least one" in module.ensemble.state.problem
    assert [each.ticked for each in module.ensemble.state.members] == [False, False, True]
    np.testing.assert_array_equal(module.scene.layers[VOTE], before)


def test_votes_by_label_and_by_region_are_offered_and_their_difference_is_said(tmp_path):
    for name, values in {"a": 1, "b": 2, "c": 0}.items():  # two of three see tumour, no two of them the same label
        drawn = tumour(3, 6)
        drawn[6, 8, 8:10] = values
        write_label_map(tmp_path / "t" / name / "p.nii.gz", drawn, GRID)
    module = Module().opened(tmp_path / "t")
    assert [rule.id for rule in module.ensemble.state.rules] == [
        "plurality",
        "absolute_majority",
        "region_vote",
        "staple",
    ]
    assert module.ensemble.state.difference == "Votes by label and by region differ in 2 voxels (0.02 ml)."
    assert not module.scene.layers[VOTE][6].any()
    module.ensemble.choose_rule("region_vote")
    members = [read_label_map(tmp_path / "t" / name / "p.nii.gz").array for name in "abc"]
    np.testing.assert_array_equal(module.scene.layers[VOTE], vote(members, BRATS_REGIONS).label_map)
    assert module.scene.layers[VOTE][6, 8, 8] == 2
    module.look.choose_map("difference")
    assert module.scene.map[1].sum() == 2


def with_probabilities(review: Review, folder: Path, foreground: dict[str, float]) -> Review:
    """Members that kept the probability of label 1 at one voxel; elsewhere they are sure of background."""
    members = []
    for member in review.members:
        probabilities = np.zeros((2, *GRID.shape_zyx), dtype=np.float32)
        probabilities[1, 1, 2, 3] = foreground[member.name]
        probabilities[0] = 1 - probabilities[1]
        path = folder / f"{member.name}.nrrd"
        write_probabilities(path, quantise_probabilities(probabilities), GRID, ("background", "label_1"))
        members.append(replace(member, probabilities={"p": path}))
    return replace(review, members=tuple(members))


def test_where_members_kept_probabilities_their_mean_is_offered_and_may_outvote_the_majority(tmp_path):
    drawn = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    for name in "abc":  # one of three draws the voxel
        drawn[1, 2, 3] = name == "a"
        write_label_map(tmp_path / "t" / name / "p.nii.gz", drawn, GRID)
    module = Module().opened(tmp_path / "t")
    assert [rule.id for rule in module.ensemble.state.rules] == ["plurality", "absolute_majority", "staple"]
    review = with_probabilities(module.session.review, tmp_path, {"a": 1.0, "b": 0.4, "c": 0.4})
    module.session.use(review)
    assert [rule.id for rule in module.ensemble.state.rules] == [
        "mean_probability",
        "mean_logit",
        "weighted_mean_probability",
        "plurality",
        "absolute_majority",
        "staple",
    ]
    assert not module.scene.layers[VOTE].any()
    module.ensemble.choose_rule("mean_probability")
    assert np.argwhere(module.scene.layers[VOTE]).tolist() == [[1, 2, 3]]
    (tmp_path / "b.nrrd").write_bytes(b"")
    module.ensemble.tick("t/c", False)
    assert "b.nrrd" in module.ensemble.state.problem
    assert all(member.ticked for member in module.ensemble.state.members)
    assert module.session.votes.selected == ("t/a", "t/b", "t/c"), "what is on screen still votes"
    module.session.use(review)
    assert "b.nrrd" in module.ensemble.state.problem and module.ensemble.state.rule == "plurality"


def test_what_a_clean_up_would_take_is_listed_in_ml_and_clicked_to(module):
    module.ensemble.cleaning.choose_structure("label_2")
    assert module.ensemble.state.clean.goes == "2 components; nothing is removed."
    module.ensemble.cleaning.choose_step("minimum_size")
    module.ensemble.cleaning.choose_minimum(0.021)
    (row,) = module.ensemble.state.clean.components
    assert (row.voxels, row.volume_ml) == (2, pytest.approx(2 * VOXEL_ML))
    assert module.ensemble.state.clean.goes == "1 of 2 components would go, 0.020 ml in all."
    module.ensemble.cleaning.jump_to(row.number)
    assert module.scene.jumps[-1] == pytest.approx((10.0, 18.0, 35.0))
    module.ensemble.cleaning.choose_minimum(0.02)
    assert module.ensemble.state.clean.components == (), "one of exactly that size stays"


def test_a_clean_up_makes_a_new_segmentation_and_goes_on_from_there(module, tmp_path):
    module.ensemble.cleaning.choose_structure("label_2")
    module.ensemble.cleaning.choose_step("keep_largest")
    module.ensemble.apply()
    ((title, cleaned),) = module.scene.kept.items()
    assert title == "plurality vote for each label of 3 · label_2 · keep largest"
    assert not cleaned[7].any() and cleaned[2:5].any()
    assert module.ensemble.state.clean.components == ()
    module.ensemble.export(str(tmp_path / "out.nii.gz"))
    np.testing.assert_array_equal(read_label_map(tmp_path / "out.nii.gz").array, cleaned)
    module.ensemble.tick("set/c", False)
    assert module.scene.layers[VOTE][7].any(), "another vote is not cleaned yet"


def test_a_file_that_cannot_be_written_is_one_sentence(module, tmp_path):
    module.ensemble.export(str(tmp_path / "out.xyz"))
    assert "cannot be written" in module.ensemble.state.problem


def test_going_to_a_place_opens_its_case(module):
    module.session.go_to("q", "label_2", (1.0, 2.0, 3.0))
    assert module.scene.case == "q" and module.scene.jumps[-1] == (1.0, 2.0, 3.0)
    assert module.look.state.structure == "label_2" and module.look.state.case == "q"
    with pytest.raises(SegVarianceError, match="no case 'z'"):
        module.session.go_to("z", "label_2")


def test_a_closed_scene_leaves_the_panels_empty_and_the_folder_can_be_opened_again(module, folder):
    module.session.scene_closed()
    assert module.look.state.case == "" and module.ensemble.state.members == ()
    assert not module.open.state.is_open
    module.opened(folder)
    assert module.look.state.case == "p" and module.ensemble.state.result == "3 of 3 members vote."


def test_every_field_of_a_saved_scene_comes_back(folder):
    (folder / "mri").mkdir()
    for case in "pq":
        write_map(folder / "mri" / f"{case}.nii.gz", np.zeros(GRID.shape_zyx), GRID)
    before, after = Module(), Module()
    before.open.look_into((str(folder),), "{member}/{case}", str(folder / "mri"), str(folder / "labels"))
    before.open.confirm()
    before.look.choose_case("q")
    before.ensemble.choose_rule("region_vote")
    before.ensemble.tick("set/b", False)
    node = SimpleNamespace()
    remember(node, ReviewPresenters(before.session, before.open, before.ensemble))
    recall(node, ReviewPresenters(after.session, after.open, after.ensemble))
    assert after.scene.case is None, "nothing is opened unasked"
    after.open.confirm()
    assert vars(after.open.state) == vars(before.open.state)
    assert after.session.opened.case.id == "q"
    assert after.ensemble.state == before.ensemble.state
    np.testing.assert_array_equal(after.scene.layers[VOTE], before.scene.layers[VOTE])
