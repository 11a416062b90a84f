"""The inspector of regions without Qt and without Slicer: real folders, and a scene that only remembers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS
from SegVarianceLib.ensemble.region_recipe import RegionRecipe
from SegVarianceLib.review.case_scores import score_against_reference

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
sys.path.insert(0, str(Path(__file__).parent))
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_regions import RegionsPresenter
from SegVarianceSlicer.presenter_review import ReviewSession, structure_named
from test_slicer_presenter_review import RememberedScene

GRID = Geometry((10, 4, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
COLUMN_ML = 0.012
DECLARED = {
    "labels": {"background": 0, "whole tumour": [1, 2, 4], "tumour core": [1, 4], "enhancing tumour": 4},
    "regions_class_order": [2, 1, 4],
    "channel_names": {"0": "T1"},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


class Inspector:
    """What is shown, and volumes that the user has loaded."""

    def __init__(self):
        self.volumes = {}
        self.close()

    def open(self, case, geometry, painted, colours):
        self.case, self.painted, self.colours = case, painted, colours

    def show(self, label_map, changes, orphans):
        self.label_map, self.changes, self.orphans = label_map.copy(), changes.copy(), orphans.copy()

    def outline(self, changes, orphans):
        self.outlined = (changes, orphans)

    def fill(self, shown):
        self.filled = shown

    def probabilities(self, names, geometry):
        if missing := [name for name in names if name not in self.volumes]:
            raise SegVarianceError(f"No volume of the scene is called {missing[0]!r}.")
        return np.stack([self.volumes[name] for name in names])

    def close(self):
        self.case, self.label_map = "", None


def columns(*values: int) -> np.ndarray:
    """A label map with a value for each column along x, from the first one on."""
    drawn = np.zeros(GRID.shape_zyx, np.uint8)
    drawn[..., : len(values)] = values
    return drawn


MEMBERS = {"a": columns(4, 1, 2, 2, 2, 2), "b": columns(4, 1, 1, 2, 2, 2), "c": columns(1, 1, 1, 1, 2, 2, 2)}


def layered(tmp_path, references: bool = True) -> tuple[str, ...]:
    """Folders of the members of two cases, with references beside."""
    for case in ("p1", "p2"):
        for name, label_map in MEMBERS.items():
            write_label_map(tmp_path / "members" / name / f"{case}.nii.gz", label_map, GRID)
        if references:
            write_label_map(tmp_path / "references" / f"{case}.nii.gz", MEMBERS["b"], GRID)
    return tuple(str(tmp_path / "members" / name) for name in MEMBERS)


def with_probabilities(tmp_path) -> np.ndarray:
    """Two members of nnU-Net with regions; returns the mean of what they kept, [region, z, y, x]."""
    rng = np.random.default_rng(3)
    kept = rng.random((2, 3, *GRID.shape_zyx), dtype=np.float32)
    for name, probabilities in zip("ab", kept, strict=True):
        folder = tmp_path / "kept" / name
        write_label_map(folder / "p1.nii.gz", MEMBERS[name], GRID)
        np.savez_compressed(folder / "p1.npz", probabilities=probabilities)
        write_json(folder / "dataset.json", DECLARED)
        write_json(folder / "plans.json", DECLARED)
    return kept.mean(axis=0)


class Module:
    def __init__(self, folders, references=""):
        self.scene, self.inspector, self.again = RememberedScene(), Inspector(), []
        self.session = ReviewSession(self.scene)
        self.open, self.look = OpenPresenter(self.session), LookPresenter(self.session)
        self.regions = RegionsPresenter(self.session, self.inspector, lambda: self.again.append(1))
        self.open.look_into(folders, references=str(references))
        self.open.confirm()
        assert self.open.state.problems == ()

    @property
    def state(self):
        return self.regions.state


@pytest.fixture
def module(tmp_path):
    opened = Module(layered(tmp_path), tmp_path / "references")
    opened.regions.begin()
    assert opened.state.is_open and opened.state.problem == ""
    return opened


def test_known_regions_are_offered_and_nothing_is_in_the_scene_before_the_inspector_is_opened(tmp_path):
    opened = Module(layered(tmp_path))
    assert opened.state.text == "whole tumour=1,2,4; tumour core=1,4; enhancing tumour=4"
    assert opened.state.told == "Known for brain tumours." and opened.state.can_open and not opened.state.is_open
    assert opened.inspector.case == ""
    titles = [source.title for source in opened.state.sources]
    assert titles[0] == "Vote of 3 members" and len(titles) == 5 and titles[-1].startswith("Volumes in the scene")


def test_the_vote_by_region_is_painted_and_labels_have_their_colours_by_region(module):
    np.testing.assert_array_equal(module.inspector.label_map, columns(4, 1, 1, 2, 2, 2))
    assert [(each.name, each.values) for each in module.inspector.painted.structures] == [
        ("label_2", (2,)), ("label_1", (1,)), ("label_4", (4,)),
    ]  # fmt: skip
    assert len(set(module.inspector.colours.values())) == 3
    assert [row.region_dice for row in module.state.rows] == [(1.0, 1.0)] * 3
    assert module.scene.views == [("", [])], "the layers of the case have made room"


def test_a_moved_threshold_says_what_it_gained_and_lost_and_what_that_does_to_dice(module):
    module.regions.set_threshold("whole tumour", 0.3)
    np.testing.assert_array_equal(module.inspector.label_map, columns(4, 1, 1, 2, 2, 2, 2))
    assert module.state.changes == "Gained 0.012 ml (white), lost 0.000 ml (red), another label 0.000 ml (yellow)."
    assert (module.inspector.changes == columns(0, 0, 0, 0, 0, 0, 1)).all()
    whole, oedema = 2 * 6 / 13, 2 * 3 / 7
    assert module.state.rows[0].region_dice == pytest.approx((1.0, whole))
    assert module.state.rows[0].label_dice == pytest.approx((1.0, oedema))
    assert module.state.rows[0].volume_ml == pytest.approx(4 * COLUMN_ML)
    module.regions.reset()
    assert not module.inspector.changes.any() and module.state.sliders[0].threshold == 0.5


def test_orphans_of_unequal_thresholds_are_outlined_counted_and_looked_at(module):
    module.regions.look_at("orphans")
    assert module.state.problem == "There are no orphans."
    module.regions.set_threshold("tumour core", 0.9)
    module.regions.set_threshold("enhancing tumour", 0.3)
    assert not module.inspector.orphans.any()
    module.regions.set_threshold("whole tumour", 1.0)
    assert module.state.orphans == "0.024 ml of tumour core outside a region that should hold it (magenta)."
    module.regions.set_threshold("tumour core", 1.0)
    np.testing.assert_array_equal(module.inspector.orphans, columns(4, 0, 0) > 0)
    module.regions.look_at("orphans")
    assert module.scene.jumps[-1][0] == pytest.approx(0.0)


def test_steps_compare_with_as_many_steps_at_one_half(module):
    module.regions.step(-1)
    module.regions.step(-1)
    assert (module.state.step, module.state.steps) == (1, 3)
    np.testing.assert_array_equal(module.inspector.label_map, columns(2, 2, 2, 2, 2, 2))
    assert not module.inspector.changes.any()
    assert module.state.step_words == "whole tumour is painted as label 2: 0.072 ml."
    assert [row.label_dice for row in module.state.rows] == [(1.0, 1.0), (None, None), (None, None)]
    module.regions.step(-5)
    assert module.state.step == 0 and module.state.why == "" and not module.inspector.label_map.any()
    module.regions.step(9)
    assert "begins as region enhancing tumour" in module.state.why


def test_the_next_case_is_inspected_with_the_same_thresholds_and_the_rule(module):
    module.regions.choose_rule("nested")
    module.regions.set_threshold("tumour core", 0.3)
    module.look.next_case(1)
    assert module.inspector.case == "p2" and module.state.rule == "nested"
    assert [slider.threshold for slider in module.state.sliders] == [0.5, 0.3, 0.5]
    np.testing.assert_array_equal(module.inspector.label_map, columns(4, 1, 1, 1, 2, 2))
    module.regions.end()
    assert module.inspector.case == "" and module.again == [1]
    module.look.next_case(1)
    assert not module.state.is_open and module.state.can_open
    module.session.close()
    assert module.state.sources == () and not module.state.can_open


def test_other_rules_stand_beside_and_the_largest_label_has_no_thresholds(module):
    assert [rule.id for rule in module.state.rules] == ["paint", "nested", "label_probability"]
    module.regions.set_threshold("whole tumour", 0.3)
    module.regions.choose_rule("label_probability")
    np.testing.assert_array_equal(module.inspector.label_map, columns(4, 1, 1, 2, 2, 2))
    assert module.state.sliders == ()
    module.regions.choose_rule("paint")
    assert module.state.sliders[0].threshold == 0.3
    module.regions.define("whole=1,2; other=1,4; enhancing=4")
    module.regions.choose_rule("label_probability")
    assert "overlap in part" in module.state.problem and module.state.rule == "paint"


def test_what_is_written_makes_the_same_labels_of_the_same_probabilities(module, tmp_path):
    module.regions.set_threshold("whole tumour", 0.3)
    module.regions.set_threshold("enhancing tumour", 0.8)
    module.regions.write(str(tmp_path / "regions.json"))
    assert module.state.done == f"Wrote {tmp_path / 'regions.json'}."
    recipe = RegionRecipe.read(tmp_path / "regions.json")
    shares = np.stack(
        [np.mean([region.mask(each) for each in MEMBERS.values()], axis=0) for region in recipe.labels.structures]
    )
    np.testing.assert_array_equal(recipe.rebuild(shares), module.inspector.label_map)
    module.regions.keep()
    (title,) = module.scene.kept
    assert title == "regions · Vote of 3 members · paint in order · whole tumour 0.30, enhancing tumour 0.80"
    np.testing.assert_array_equal(module.scene.kept[title], module.inspector.label_map)
    (tmp_path / "file").write_text("")
    module.regions.write(str(tmp_path / "file" / "regions.json"))
    assert module.state.problem and module.state.done == ""


def test_one_member_is_certain(module):
    source = next(each for each in module.state.sources if each.title.endswith("c, labels"))
    module.regions.choose_source(source.id)
    np.testing.assert_array_equal(module.inspector.label_map, MEMBERS["c"])
    assert module.state.sliders == () and [rule.id for rule in module.state.rules] == ["paint"]
    assert module.state.rows[1].region_dice == pytest.approx((6 / 7, 6 / 7))
    module.regions.choose_map("tumour core")
    kind, values = module.scene.map
    assert kind == "probability" and not module.inspector.filled
    np.testing.assert_array_equal(values, MEMBERS["c"] == 1)


def test_kept_probabilities_are_inspected_one_member_alone_and_as_their_mean(tmp_path):
    mean = with_probabilities(tmp_path)
    opened = Module(tuple(str(tmp_path / "kept" / name) for name in "ab"))
    assert opened.state.told == "As declared in dataset.json."
    opened.regions.choose_source("mean")
    opened.regions.begin()
    assert opened.state.problem == "" and opened.state.source == "mean"
    expected = np.select([mean[2] > 0.5, mean[1] > 0.5, mean[0] > 0.5], [4, 1, 2], 0)
    np.testing.assert_array_equal(opened.inspector.label_map, expected)
    opened.regions.choose_map("tumour core")
    np.testing.assert_allclose(opened.scene.map[1], mean[1], atol=1e-6)
    opened.regions.choose_rule("nested")
    np.testing.assert_allclose(opened.scene.map[1], np.minimum(mean[0], mean[1]), atol=1e-6)
    alone = next(each for each in opened.state.sources if each.title.endswith("b, probabilities"))
    opened.regions.choose_source(alone.id)
    assert opened.state.problem == "" and opened.state.rows[0].region_dice == (None, None)


def test_volumes_that_the_user_has_loaded_are_inspected_and_bad_ones_refused(module):
    regions = "whole tumour", "tumour core", "enhancing tumour"
    module.regions.choose_source("volumes")
    assert "No volume" in module.state.problem and module.state.source == "votes" and module.state.is_open
    rng = np.random.default_rng(0)
    module.inspector.volumes = {name: rng.random(GRID.shape_zyx, dtype=np.float32) for name in regions}
    module.regions.choose_source("volumes")
    assert module.state.problem == "" and module.state.sliders[0].words == "0.50"
    module.inspector.volumes["tumour core"] = module.inspector.volumes["tumour core"] * 40
    module.regions.choose_source("volumes")
    assert "expected 0 to 1" in module.state.problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("whole", "cannot read 'whole'"),
        ("a=1; b=2", "names single labels only"),
        ("whole=1,2,4; core=1", "leaves 2, 4"),
        ("whole=1,two; core=1", "gives label 'whole' the value 'two'"),
        ("a=1,2; b=1,2", "leaves no value"),
    ],
)
def test_a_bad_definition_is_one_sentence_and_what_is_inspected_stays(module, text, words):
    module.regions.define(text)
    assert words in module.state.problem and module.state.problem.count("\n") == 0
    assert module.state.is_open and module.inspector.case == "p1" and module.state.text == text
    module.regions.define("")
    assert module.state.problem == "" and module.state.told == "Known for brain tumours."


def test_labels_that_nobody_knows_regions_of_ask_for_them(tmp_path):
    write_label_map(tmp_path / "a" / "p1.nii.gz", columns(1, 2, 3), GRID)
    opened = Module((str(tmp_path / "a"),))
    assert not opened.state.can_open and opened.state.told.startswith("Say which labels make a region")
    opened.regions.begin()
    assert opened.state.problem.startswith("Say which labels")
    opened.regions.define("whole=1,2; part=2")
    assert opened.state.notes == ("No region holds label 3: it becomes background.",)
    opened.regions.begin()
    np.testing.assert_array_equal(opened.inspector.label_map, columns(1, 2))


def test_the_reference_is_outlined_when_asked_for(module):
    module.regions.outline("reference", True)
    assert module.scene.views == [("", ["reference"])]
    module.regions.outline("changes", False)
    assert module.inspector.outlined == (False, True)


def test_the_map_that_was_looked_at_comes_back_when_the_inspector_is_closed(tmp_path):
    opened = Module(layered(tmp_path))

    def again():
        opened.look.arrange(opened.look.state.arrangement)
        opened.look.result_changed()

    regions = RegionsPresenter(opened.session, opened.inspector, again)
    opened.look.choose_map("agreement")
    before, views = opened.scene.map, opened.scene.views
    assert before[0] == "agreement"
    regions.choose_source("votes")
    regions.define("whole=1,2,4; core=1,4; enhancing=4")
    regions.begin()
    assert opened.scene.map is None and opened.scene.views == [("", [])]
    regions.choose_map("core")
    assert opened.scene.map[0] == "probability"
    regions.end()
    assert opened.scene.map[0] == "agreement" and opened.scene.views == views


def test_a_case_with_regions_is_scored_at_both_levels_and_a_label_is_looked_at_as_a_region_is(module):
    opened, steps = module.session.opened, []
    table = score_against_reference(opened, 1.0, BRATS_REGIONS, lambda *step: steps.append(step))
    scored = {score.structure: score.value for score in table.where(metric="dice", member="a").scores}
    assert scored.keys() == {
        *(each.name for each in BRATS_REGIONS.structures),
        *map("label value {}".format, (1, 2, 4)),
    }
    assert scored["tumour core"] == pytest.approx(2 * 2 / 5) and scored["label value 1"] == pytest.approx(2 / 3)
    assert steps[-1] == (3, 3)
    assert structure_named(BRATS_REGIONS, "label value 1").values == (1,)
    with pytest.raises(SegVarianceError, match="no structure 'label value 7'"):
        structure_named(BRATS_REGIONS, "label value 7")
