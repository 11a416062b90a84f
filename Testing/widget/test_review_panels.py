"""Open, Look, and Ensemble and clean on their .ui files: filled from the sample study, clicked as a user would."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import qt
import shim
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from SegVarianceSlicer.panels.ensemble import EnsemblePanel
from SegVarianceSlicer.panels.look import LookPanel
from SegVarianceSlicer.panels.open import OpenPanel
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import VOTE, ReviewSession
from SegVarianceSlicer.sample import make_sample
from SegVarianceSlicer.state_ensemble import EnsembleState
from SegVarianceSlicer.state_review import IntoStudyState, Layer

from SegVarianceLib.ensemble.clean_up import CleanUpStep
from SegVarianceLib.ensemble.clean_up_recipe import ChosenOn, CleanUpRecipe


class RememberedScene:
    """Keys of what is shown, and where the views look."""

    most_shown = 6

    def __init__(self):
        self.kept, self.saved, self.jumps = [], [], []
        self.forget()

    def open(self, case, geometry, labels):
        self.forget()
        self.case = case

    def forget(self):
        self.case, self.layers, self.views, self.map, self.image = "", {}, [], "", ""

    close = forget

    def has(self, key):
        return key in self.layers

    def put(self, key, folder, title, label_map):
        self.layers[key] = label_map

    def set_image(self, title, array):
        self.image = title

    def arrange(self, views):
        self.views = views

    def show_map(self, kind, values):
        self.map = kind

    def jump(self, lps_mm):
        self.jumps.append(lps_mm)

    def keep(self, title, label_map):
        self.kept.append(title)

    def save(self, path, title, label_map):
        self.saved.append(path)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make_sample(tmp_path_factory.mktemp("sample") / "SegVariancePhantom", cases=3)


@pytest.fixture
def module(load, sample):
    """The three panels of the module over one session."""
    scene = RememberedScene()
    session = ReviewSession(scene)
    opening, look = OpenPresenter(session), LookPresenter(session)
    ensemble = EnsemblePresenter(session, look.result_changed)
    widgets = {name: load(name) for name in ("open", "look", "ensemble")}
    return SimpleNamespace(
        scene=scene,
        session=session,
        widgets=widgets,
        open=OpenPanel(widgets["open"], opening, lambda: str(sample)).ui,
        look=LookPanel(widgets["look"], look).ui,
        ensemble=EnsemblePanel(widgets["ensemble"], ensemble).ui,
    )


@pytest.fixture
def opened(module):
    module.open.sampleButton.click()
    assert module.scene.case == "phantom_000"
    return module


def entries(combo):
    return [combo.itemText(number) for number in range(combo.count)]


def column(table, number):
    return [table.item(row, number).text() for row in range(table.rowCount)]


def choose(combo, text):
    """As a user does: choose the entry, then the signal comes."""
    combo.setCurrentIndex(entries(combo).index(text))
    combo.wrapped.activated.emit(combo.currentIndex)


def tick(table, row, ticked):
    table.item(row, 0).setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


def picture_colours(path):
    """How many different colours a picture has: an empty one has few."""
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    pixels = np.frombuffer(image.constBits(), np.uint8)
    return len(np.unique(pixels))


def test_the_shim_refuses_names_that_qt_does_not_have(load):
    widget = load("open")  # whoever holds no parent loses the children
    ui = shim.child_widget_variables(widget)
    with pytest.raises(ValueError, match="no signal 'clicked"):
        ui.confirmButton.connect("clicked(int)", print)
    with pytest.raises(AttributeError, match="no property 'colour'"):
        ui.confirmButton.colour = "red"
    assert ui.confirmButton.text == "Open" and ui.confirmButton.enabled is False


def test_before_anything_is_open_only_folders_can_be_chosen(module):
    assert module.open.sampleButton.enabled and module.open.addFolderButton.enabled
    for button in (module.open.confirmButton, module.open.againButton, module.look.nextCaseButton):
        assert not button.enabled
    for button in (module.look.nextStructureButton, module.ensemble.applyButton, module.ensemble.exportButton):
        assert not button.enabled
    assert not module.look.caseCombo.enabled


def test_a_chosen_folder_is_described_and_opened_only_when_confirmed(module, sample, monkeypatch, picture):
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *asked: str(sample), raising=False)
    module.open.addFolderButton.click()
    assert module.scene.case == ""
    assert module.open.foundLabel.text.startswith("SegVariancePhantom: folders of label maps. 6 members, 3 cases")
    assert column(module.open.memberTable, 1) == ["3"] * 6
    assert module.open.patternEdit.placeholderText == "members/{member}/{case}"
    assert module.open.problemList.isHidden()
    assert picture_colours(picture(module.widgets["open"], "open")) > 20
    module.open.confirmButton.click()
    assert module.scene.case == "phantom_000" and module.open.againButton.enabled


def test_problems_are_listed_and_nothing_can_be_opened(module, tmp_path, monkeypatch, picture):
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *asked: str(tmp_path), raising=False)
    module.open.addFolderButton.click()
    assert module.open.problemList.count == 1 and not module.open.problemList.isHidden()
    assert not module.open.confirmButton.enabled
    assert picture_colours(picture(module.widgets["open"], "open_problem")) > 20
    module.open.clearFoldersButton.click()
    assert module.open.folderList.count == 0 and module.open.problemList.isHidden()


def test_the_first_case_is_on_screen_with_its_structures_layers_and_views(opened, picture):
    look = opened.look
    assert entries(look.caseCombo) == ["phantom_000", "phantom_001", "phantom_002"]
    assert entries(look.structureCombo) == ["shell", "body", "core"]
    assert entries(look.imageCombo) == ["MRI"] and opened.scene.image == "MRI"
    assert column(look.layerTable, 1) == ["V", "R", "1", "2", "3", "4", "5", "6"]
    ((_, shown),) = opened.scene.views
    assert len(shown) == 6
    assert picture_colours(picture(opened.widgets["look"], "look")) > 20


def test_next_case_and_next_structure_do_what_they_say(opened):
    opened.look.nextCaseButton.click()
    assert opened.scene.case == "phantom_001" and opened.look.caseCombo.currentText == "phantom_001"
    choose(opened.look.caseCombo, "phantom_002")
    assert opened.scene.case == "phantom_002"
    jumps = len(opened.scene.jumps)
    opened.look.nextStructureButton.click()
    assert opened.look.structureCombo.currentText == "body" and len(opened.scene.jumps) == jumps + 1


def test_worst_first_shows_each_cases_number_and_says_what_it_is(opened, picture):
    look = opened.look
    assert look.orderLabel.isHidden() and look.progressBar.isHidden() and look.stopButton.isHidden()
    choose(look.orderCombo, "Worst first: all structures")
    titles = entries(look.caseCombo)
    numbers = [float(title.split("Dice ")[1]) for title in titles]
    assert numbers == sorted(numbers) and look.caseCombo.currentText.startswith("phantom_000 · Dice ")
    assert look.orderLabel.text.startswith("Dice of the members' vote against the reference")
    choose(look.orderCombo, "Worst first: core")
    assert look.orderLabel.text.endswith("reference; core. Lowest first, 1 is best.")
    assert picture_colours(picture(opened.widgets["look"], "look_worst_first")) > 20
    for _ in range(3):
        look.nextCaseButton.click()
    assert look.caseCombo.currentText.startswith("phantom_000")


def test_maps_say_what_their_colours_mean_and_numbers_come_when_asked_for(opened, picture):
    look = opened.look
    assert look.mapLabel.isHidden() and look.disagreementBox.isHidden() and look.mapBar.isHidden()
    choose(look.mapCombo, "Agreement of the members")
    assert opened.scene.map == "agreement" and look.mapLabel.text.startswith("Dark: only half of the members")
    choose(look.mapCombo, "Members split (entropy of the votes)")
    look.disagreementButton.click()
    assert look.disagreementLabel.text.startswith("Members agree least on ")
    assert column(look.disagreementTable, 0) == ["shell", "body", "core"]
    assert picture_colours(picture(opened.widgets["look"], "look_disagreement")) > 20
    tick(opened.ensemble.memberTable, 0, False)
    for row in range(1, 5):
        tick(opened.ensemble.memberTable, row, False)
    assert look.disagreementLabel.text == "One member alone cannot disagree. Let more vote."
    look.disagreementButton.click()
    assert look.disagreementBox.isHidden()


def test_while_numbers_are_worked_out_there_is_a_bar_and_a_way_to_stop(opened, picture):
    opened.session.later = lambda act: None
    look = LookPresenter(opened.session)
    panel = LookPanel(opened.widgets["look"], look)
    opened.session.update(opened.session.review)
    look.choose_order("worst")
    assert not panel.ui.progressBar.isHidden() and panel.ui.orderLabel.text.startswith("Comparing phantom_000…")
    assert picture_colours(picture(opened.widgets["look"], "look_working")) > 20
    panel.ui.stopButton.click()
    assert panel.ui.progressBar.isHidden() and "3 of 3 cases have no number" in panel.ui.orderLabel.text


def test_ticking_a_seventh_layer_is_refused_in_a_sentence_and_its_box_stays_empty(opened):
    table = opened.look.layerTable
    tick(table, 7, True)
    assert opened.look.problemLabel.text == "6 layers are shown already. Untick one first."
    assert table.item(7, 0).checkState() == Qt.CheckState.Unchecked
    tick(table, 0, False)
    assert opened.look.problemLabel.isHidden()
    tick(table, 7, True)
    ((_, shown),) = opened.scene.views
    assert VOTE not in shown and "SegVariancePhantom/seed_06" in shown


def test_the_vote_stands_beside_the_member_that_is_chosen(opened):
    assert not opened.look.againstCombo.enabled
    choose(opened.look.arrangementCombo, "Vote against one member")
    assert opened.look.againstCombo.enabled and not opened.look.layerTable.enabled
    choose(opened.look.againstCombo, "SegVariancePhantom · seed 03")
    assert opened.scene.views == [("V", [VOTE]), ("3", ["SegVariancePhantom/seed_03"])]


def test_members_that_are_unticked_do_not_vote_and_volumes_follow(opened, picture):
    ensemble = opened.ensemble
    assert ensemble.resultLabel.text == "6 of 6 members vote."
    volumes, vote = column(ensemble.volumeTable, 1), opened.scene.layers[VOTE]
    for row in range(5):
        tick(ensemble.memberTable, row, False)
    assert ensemble.resultLabel.text == "1 of 6 members vote."
    assert column(ensemble.volumeTable, 1) != volumes
    assert not np.array_equal(opened.scene.layers[VOTE], vote)
    ensemble.allButton.click()
    assert column(ensemble.volumeTable, 1) == volumes
    np.testing.assert_array_equal(opened.scene.layers[VOTE], vote)
    ensemble.memberTable.setCurrentCell(2, 0)
    ensemble.onlyButton.click()
    assert [ensemble.memberTable.item(row, 0).checkState() == Qt.CheckState.Checked for row in range(6)] == [
        row == 2 for row in range(6)
    ]


def test_a_clean_up_is_previewed_clicked_to_applied_and_exported(opened, tmp_path, monkeypatch, picture):
    ensemble = opened.ensemble
    ensemble.memberTable.setCurrentCell(0, 0)
    ensemble.onlyButton.click()
    assert ensemble.minimumSpin.isHidden()
    choose(ensemble.stepCombo, "Minimum size")
    assert not ensemble.minimumSpin.isHidden()
    ensemble.minimumSpin.setValue(0.05)
    listed = column(ensemble.componentTable, 1)
    assert listed and all(float(volume) < 0.05 for volume in listed)
    assert "would go" in ensemble.goesLabel.text
    jumps = len(opened.scene.jumps)
    ensemble.componentTable.wrapped.cellClicked.emit(0, 1)
    assert len(opened.scene.jumps) == jumps + 1
    assert picture_colours(picture(opened.widgets["ensemble"], "ensemble")) > 20
    ensemble.applyButton.click()
    assert opened.scene.kept == ["plurality vote for each label of 1 · shell · minimum size"]
    assert column(ensemble.componentTable, 1) == []
    path = str(tmp_path / "vote.seg.nrrd")
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *asked: path, raising=False)
    ensemble.exportButton.click()
    assert ensemble.keptLabel.text == f"Wrote {path}."


def test_rules_stand_side_by_side_and_a_click_takes_one(opened, picture):
    ensemble = opened.ensemble
    assert ensemble.rulesBox.isHidden() and ensemble.rulesTable.isHidden()
    assert entries(ensemble.ruleCombo)[0] == "Plurality vote for each label"
    assert "Ties: the smallest label value" in ensemble.ruleCombo.itemData(0, 3)
    ensemble.rulesButton.click()
    ensemble.compareRulesButton.click()
    ensemble.leaveOutButton.click()
    assert column(ensemble.rulesTable, 1)[0] == "on screen" and ensemble.rulesTable.rowCount == 3
    assert ensemble.rulesLabel.text.startswith("The rules differ by at most")
    assert "most: without it" in ensemble.influenceLabel.text and ensemble.influenceTable.rowCount == 6
    assert ensemble.sharedTable.isHidden() and ensemble.sharedLabel.text.startswith("Choose a structure")
    choose(ensemble.aboutCombo, "shell")
    assert "changes shell most" in ensemble.influenceLabel.text
    assert column(ensemble.sharedTable, 0) == [f"{k} of 6" for k in range(1, 7)]
    assert picture_colours(picture(opened.widgets["ensemble"], "ensemble_rules")) > 20
    ensemble.rulesTable.wrapped.cellClicked.emit(1, 0)
    assert ensemble.ruleCombo.currentText == "Absolute majority for each label"
    assert column(ensemble.rulesTable, 1)[1] == "on screen"
    tick(ensemble.memberTable, 0, False)
    assert ensemble.rulesTable.isHidden(), "other members, other results"


def test_a_recipe_is_previewed_and_says_what_it_gains(opened, tmp_path, monkeypatch, picture):
    ensemble, labels = opened.ensemble, opened.session.opened.labels
    gains = ("Nested, every case cleaned as chosen without its fold (5 folds): Dice, foreground mean, 0.871 becomes 0.874, "
             "gain 0.003 (95 % interval 0.001 to 0.005; 200 cases). It is shown to help on new cases.",)  # fmt: skip
    on = ChosenOn("Hippocampus: default, seeds 0, 1, 2, 200 held-out cases", 200, 3, "", gains)
    steps = (CleanUpStep("minimum_size", ("shell",), {"minimum_mm3": 30.0}), CleanUpStep("fill_holes", ("core",)))
    CleanUpRecipe.of(labels, steps, on).write(tmp_path / "clean_up.json")
    monkeypatch.setattr(
        qt.QFileDialog, "getOpenFileName", lambda *asked: str(tmp_path / "clean_up.json"), raising=False
    )
    assert ensemble.recipeBox.isHidden() and not ensemble.chooseRecipeButton.enabled
    ensemble.recipeButton.click()
    ensemble.openRecipeButton.click()
    assert ensemble.stepCombo.currentText == "As clean_up.json says" and not ensemble.structureCombo.enabled
    assert ensemble.stepLabel.text == "The recipe: minimum size (shell; 30 mm3); then fill holes (core)."
    assert gains[0] in ensemble.recipeLabel.text and "0 components would be changed" in ensemble.goesLabel.text
    assert picture_colours(picture(opened.widgets["ensemble"], "ensemble_recipe")) > 20
    choose(ensemble.stepCombo, "Minimum size")
    assert not ensemble.becomesCombo.isHidden()
    choose(ensemble.becomesCombo, "What surrounds it")
    choose(ensemble.stepCombo, "Fill holes")
    assert ensemble.becomesCombo.isHidden() and "holes would be filled" in ensemble.goesLabel.text


def test_without_a_study_the_panel_says_that_results_can_be_kept_in_one(opened):
    ensemble = opened.ensemble
    assert not any(w.enabled for w in (ensemble.nameEdit, ensemble.intoStudyButton, ensemble.allIntoStudyButton))
    assert ensemble.studyLabel.text == "Open a SegVariance study to keep results in it."
    assert ensemble.progressBar.isHidden() and ensemble.stopButton.isHidden()


def test_the_name_that_was_typed_goes_with_the_button_and_work_shows_a_bar_and_stop(load, picture):
    class Asked:
        """A presenter, with its parts, that only hears."""

        beside = cleaning = choosing = property(lambda self: self)

        def __init__(self):
            self.heard = []
            member = Layer("base/seed_1", "base · seed 01", True)
            kept = "Kept ensembles/base/reviewed/case_7.nii.gz, and beside it how it was made."
            self.state = EnsembleState(members=(member,), can_apply=True, study=IntoStudyState(True, "", said=kept))

        def __getattr__(self, name):
            return lambda *given: self.heard.append((name, *given))

    asked, widget = Asked(), load("ensemble")
    panel = EnsemblePanel(widget, asked)
    panel.ui.nameEdit.setText("reviewed")
    assert picture_colours(picture(widget, "ensemble_kept_in_study")) > 20
    panel.ui.intoStudyButton.click()
    panel.ui.allIntoStudyButton.click()
    busy = IntoStudyState(True, busy="Voting and writing case_12… About 40 s left.", progress=0.4)
    panel.show(replace(asked.state, study=busy))
    assert picture_colours(picture(widget, "ensemble_into_study_working")) > 20
    assert not panel.ui.intoStudyButton.enabled and not panel.ui.progressBar.isHidden()
    panel.ui.stopButton.click()
    assert asked.heard == [("into_study", "reviewed"), ("all_into_study", "reviewed"), ("stop",)]


def test_a_closed_scene_empties_the_panels(opened):
    opened.session.scene_closed()
    assert opened.look.layerTable.rowCount == 0 and not opened.look.caseCombo.enabled
    assert opened.ensemble.memberTable.rowCount == 0 and not opened.ensemble.applyButton.enabled
    assert not opened.open.againButton.enabled and opened.open.confirmButton.enabled, "it can be opened again"
