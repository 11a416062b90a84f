"""Rules, maps and weights of the module without Qt and without Slicer: real folders, real votes, a scene that only remembers."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.disagreement import mean_pairwise_dice
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.rules_of_case import combine_case, influence_of_members, side_by_side, uncertainty_maps

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_review import ReviewSession

GRID = Geometry((12, 10, 8), (1.0, 2.0, 5.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
VOXEL_ML = 0.01


class Layers:
    """A scene that keeps the map that is shown."""

    most_shown = 6

    def __init__(self):
        self.map = None

    def has(self, key):
        return False

    def show_map(self, kind, values):
        self.map = None if values is None else (kind, values)

    def __getattr__(self, name):
        return lambda *given: None


def drawn(seed: int) -> np.ndarray:
    """Bars of the values 1, 2 and 4 whose ends differ from member to member."""
    label_map = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    label_map[2:5, 2:6, 1 : 6 + seed] = 2
    label_map[3, 3:5, 1 : 4 + seed % 3] = 1
    label_map[3, 3, 1] = 4
    label_map[6, 8, 8:10] = (1, 2, 0, 0)[seed]
    return label_map


@pytest.fixture
def review(tmp_path):
    """Four members of one case with a reference; all kept probabilities."""
    for seed in range(4):
        write_label_map(tmp_path / "set" / f"m{seed}" / "p.nii.gz", drawn(seed), GRID)
    write_label_map(tmp_path / "set" / "labels" / "p.nii.gz", drawn(1), GRID)
    review, rng, members = open_review(tmp_path / "set"), np.random.default_rng(2), []
    for seed, member in enumerate(review.members):
        probabilities = np.stack([drawn(seed) == value for value in (0, 1, 2, 4)]) + rng.random((4, *GRID.shape_zyx))
        path = tmp_path / f"{member.name}.nrrd"
        kept = quantise_probabilities((probabilities / probabilities.sum(axis=0)).astype(np.float32))
        write_probabilities(path, kept, GRID, ("background", "label_1", "label_2", "label_4"))
        members.append(replace(member, probabilities={"p": path}))
    return replace(review, members=tuple(members))


class Module:
    def __init__(self, review, later=lambda act: act()):
        self.session = ReviewSession(Layers(), later=later)
        ticks = itertools.count()  # a turn is one step
        self.look = LookPresenter(self.session, lambda: float(next(ticks)))
        self.ensemble = EnsemblePresenter(
            self.session, self.look.result_changed, lambda: float(next(ticks)), self.look.show_differing
        )
        self.session.use(review)

    @property
    def state(self):
        return self.ensemble.state


class Waiting(list):
    """What is to be done later is done when told."""

    def __call__(self, act):
        self.append(act)

    def run(self, turns=10_000):
        while self and turns:
            self.pop(0)()
            turns -= 1


ALL = ["mean_probability", "mean_logit", "weighted_mean_probability", "plurality", "absolute_majority", "region_vote", "staple"]  # fmt: skip


def test_every_rule_that_the_case_allows_makes_what_the_library_makes(review):
    module = Module(review)
    assert [rule.id for rule in module.state.rules] == ALL and all("Ties" in rule.tip for rule in module.state.rules)
    for rule in ALL:
        module.ensemble.choose_rule(rule)
        weights = [1.0] * 4 if rule.startswith("weighted") else None
        expected = combine_case(module.session.opened, module.session.votes, rule, weights)
        np.testing.assert_array_equal(module.session.result, expected)
        assert module.state.rule == rule and module.state.rule_in_words and module.state.problem == ""


def test_members_that_kept_no_probabilities_take_these_rules_away_and_are_named(review):
    first, *others = review.members
    module = Module(replace(review, members=(replace(first, probabilities={}), *others)))
    assert [rule.id for rule in module.state.rules] == ["plurality", "absolute_majority", "region_vote", "staple"]
    module.ensemble.tick(first.key, False)
    module.ensemble.choose_rule("mean_logit")
    assert module.state.rule == "mean_logit"
    module.ensemble.tick(first.key, True)
    assert first.key in module.state.problem and not module.state.members[0].ticked
    assert module.session.votes.selected == tuple(each.key for each in others)


def test_reading_probabilities_leaves_the_window_awake_and_can_be_stopped(review):
    waiting = Waiting()
    module = Module(review, later=waiting)
    waiting.run()
    before = module.session.result
    module.ensemble.choose_rule("mean_probability")
    waiting.run(2)
    assert module.state.busy.startswith("Reading probabilities…") and 0 < module.state.progress < 1
    assert module.state.rule == "plurality" and module.session.result is before
    module.ensemble.stop()
    waiting.run()
    assert module.state.progress is None and module.state.rule == "plurality" and module.session.result is before
    module.ensemble.choose_rule("mean_probability")
    module.ensemble.tick(review.members[0].key, False)  # in the middle: the votes of the others at once
    waiting.run()
    assert module.state.result == "3 of 4 members vote." and module.state.rule == "plurality"
    assert module.session.votes.selected == tuple(each.key for each in review.members[1:])


def test_rules_side_by_side_are_the_librarys_numbers(review):
    module = Module(review)
    module.ensemble.beside.compare()
    found, beside = side_by_side(module.session.opened, module.session.votes), module.state.beside
    assert [row.rule for row in beside.rules] == list(found.label_maps)
    by_pair = {(each.first, each.second): each.volume_ml for each in found.differences if each.structure == "any label"}
    for one, other in itertools.combinations(range(len(beside.rules)), 2):
        row = beside.rules[one]
        assert row.from_others_ml[other] == by_pair[row.rule, beside.rules[other].rule]
    shown = next(row for row in beside.rules if row.rule == "plurality")
    dice = [
        each.dice for each in found.differences if {each.first, each.second} == {"plurality", "reference"} and each.dice
    ]
    assert shown.dice is None and shown.reference_dice == pytest.approx(np.mean(dice))
    most = max(by_pair.values())
    assert beside.sentence.startswith(f"The rules differ by at most {most:.2f} ml: ")
    module.ensemble.show_differing()
    kind, values = module.session.scene.map
    np.testing.assert_array_equal(values, found.differing)
    assert kind == "rules_differ" and module.look.state.overlay.kinds[-1].id == "rules_differ"
    module.ensemble.choose_rule("region_vote")
    np.testing.assert_array_equal(module.session.result, found.label_maps["region_vote"])
    assert next(row for row in module.state.beside.rules if row.dice is None).rule == "region_vote"
    module.ensemble.tick(review.members[0].key, False)
    assert module.state.beside.rules == () and module.session.scene.map is None, "other members, other results"


def test_who_changes_the_result_most_stands_first_and_k_of_n_is_of_the_structure(review):
    module = Module(review)
    module.ensemble.beside.leave_out()
    expected = influence_of_members(module.session.opened, module.session.votes, "plurality")
    most = max((each for each in expected if each.structure == "any label"), key=lambda each: each.voxels)
    rows = module.state.beside.influence
    assert len(rows) == 4 and rows[0].changed_ml == most.volume_ml
    assert module.state.beside.influence_sentence.startswith(f"{rows[0].member} changes the result most")
    assert module.state.beside.shared == ()
    module.ensemble.beside.choose_about("label_2")
    shared, opened = module.state.beside.shared, module.session.opened
    votes = sum((opened.maps.member(member.key) == 2).astype(int) for member in review.members)
    assert [row.volume_ml for row in shared] == pytest.approx([(votes >= k).sum() * VOXEL_ML for k in range(1, 5)])
    module.ensemble.choose_rule("weighted_mean_probability")
    assert not module.state.beside.can_leave_out and module.state.beside.influence == ()


def test_comparing_can_be_stopped_and_leaves_nothing_behind(review):
    waiting = Waiting()
    module = Module(review, later=waiting)
    waiting.run()
    module.ensemble.beside.compare()
    waiting.run(3)
    assert module.state.beside.busy.startswith("Combining by Mean") and module.state.beside.progress > 0
    module.ensemble.beside.stop()
    waiting.run()
    assert module.state.beside.progress is None and module.state.beside.rules == ()


def test_weights_come_from_scores_or_from_the_user(review):
    module = Module(review)
    module.ensemble.choose_rule("weighted_mean_probability")
    assert module.state.weights == (1.0,) * 4 and module.state.weights_in_words.startswith("All members count the same")
    dice = (0.9, 0.8, 0.7, 0.6)
    lines = [
        Score("set", None, None, member.name, case, "label_1", "dice", value)
        for member, value in zip(review.members, dice, strict=True)
        for case in "pq"
    ]
    module.session.use_scores(ScoreTable(tuple(lines)))
    module.ensemble.choose_rule("plurality")
    assert module.state.weights == ()
    module.ensemble.choose_rule("weighted_mean_probability")
    assert module.state.weights == pytest.approx(dice) and "from the scores" in module.state.weights_in_words
    for member in review.members[1:]:
        module.ensemble.weigh(member.key, 0.0)
    assert module.state.weights == pytest.approx((0.9, 0, 0, 0))
    opened, votes = module.session.opened, module.session.votes
    alone = combine_case(opened, votes, "weighted_mean_probability", [1, 0, 0, 0])
    np.testing.assert_array_equal(module.session.result, alone)
    module.ensemble.weigh(review.members[0].key, 0.0)
    assert "not all 0" in module.state.problem
    np.testing.assert_array_equal(module.session.result, alone)


def test_every_map_is_the_librarys_and_says_what_its_colours_mean(review):
    module = Module(review)
    expected = uncertainty_maps(module.session.opened, module.session.votes)
    kinds = [kind.id for kind in module.look.state.overlay.kinds]
    assert kinds == ["none", *expected, "difference"]
    for kind, values in expected.items():
        module.look.choose_map(kind)
        shown, array = module.session.scene.map
        np.testing.assert_array_equal(array, values)
        assert shown == kind == module.look.state.overlay.kind and module.look.state.overlay.legend
    module.look.choose_map("none")
    assert module.session.scene.map is None and module.look.state.overlay.legend == ""


def test_a_map_that_is_stopped_or_cannot_be_read_leaves_the_one_before(review):
    waiting = Waiting()
    module = Module(review, later=waiting)
    waiting.run()
    module.look.choose_map("agreement")
    module.look.choose_map("variance")
    waiting.run(1)
    assert module.look.state.overlay.busy.startswith("Reading probabilities…")
    module.look.stop_map()
    waiting.run()
    assert module.look.state.overlay.kind == "agreement" and module.session.scene.map[0] == "agreement"
    review.members[2].probabilities["p"].write_bytes(b"")
    module.look.choose_map("variance")
    waiting.run()
    assert "m2.nrrd" in module.look.state.problem and module.look.state.overlay.kind == "agreement"


def test_of_regions_the_map_is_of_the_one_that_is_looked_at(review, tmp_path):
    regions = replace(review, labels=BRATS_REGIONS, labels_declared=True)
    module = Module(replace(regions, members=tuple(replace(each, probabilities={}) for each in review.members)))
    expected = uncertainty_maps(module.session.opened, module.session.votes)
    module.look.choose_map("vote_entropy")
    for name in ("tumour core", "whole tumour"):
        module.look.choose_structure(name)
        assert module.session.scene.map[0] == "vote_entropy"
        np.testing.assert_array_equal(module.session.scene.map[1], expected[f"vote_entropy_{name.replace(' ', '_')}"])


def test_disagreement_is_measured_when_asked_for_and_follows_who_votes(review):
    module = Module(review)
    assert module.look.state.overlay.rows == ()
    module.look.measure(True)
    rows = {row.structure: row for row in module.look.state.overlay.rows}
    masks = np.array([(drawn(seed) == 2).ravel() for seed in range(4)], dtype=int)
    assert rows["label_2"].between == pytest.approx(mean_pairwise_dice(masks @ masks.T))
    assert (rows["label_2"].low_ml, rows["label_2"].high_ml) == pytest.approx(
        tuple(masks.sum(axis=1)[[0, 3]] * VOXEL_ML)
    )
    assert module.look.state.overlay.sentence.startswith("Members agree least on")
    module.ensemble.tick_all(frozenset({review.members[0].key}))
    assert module.look.state.overlay.sentence.startswith("One member alone")
    module.look.measure(False)
    module.ensemble.tick_all()
    assert module.look.state.overlay.rows == ()
