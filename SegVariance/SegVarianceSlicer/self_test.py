"""The story of a user, told in the application through buttons and presenters, from sample data to a scene opened again."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from SegVarianceLib.ensemble.region_recipe import RegionRecipe
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.review.places import worst_place

from .presenter_maps import AGREEMENT, NO_MAP
from .presenter_review import REFERENCE, VOTE, structure_named
from .state_training import TrainingWishes
from .study_process import is_alive, kill_worker, worker_record

PYTHON = "SEGVARIANCE_PYTHON"
"""Environment variable that names a Python to train in, for machines on which the module's own environment is not built."""

_AT_ONCE_S, _SOON_S, _LATE_S = 30.0, 120.0, 300.0
_NEVER_DONE = 1_000_000
"""Training steps: more than can be made before the test presses Stop."""


class SegVarianceTest(ScriptedLoadableModuleTest):
    """Open, look, ensemble and clean, score, click to slice, compare, train and stop, close and open the scene again."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):  # noqa: N802 (Slicer calls it so)
        self.setUp()
        self.test_from_sample_data_to_a_scene_opened_again()

    def test_from_sample_data_to_a_scene_opened_again(self):
        self.widget = slicer.modules.segvariance.widgetRepresentation().self()
        names = ("open", "look", "ensemble", "regions", "scores", "compare", "transfer", "train", "adapt")
        self.ui = {name: panel.ui for name, panel in zip(names, self.widget.panels, strict=False)}
        training = self.widget.training
        study, wishes = training.state.study, training.state.wishes
        with tempfile.TemporaryDirectory(prefix="segvariance-test-", ignore_cleanup_errors=True) as folder:
            self.folder = Path(folder)
            try:
                self._open()
                self._look()
                self._ensemble_and_clean()
                self._regions()
                self._score_and_click_to_slice()
                self._compare()
                self._train()
                self._close_and_open_again()
            finally:
                self._follow_again(study, wishes)
        self.delayDisplay("Passed")

    def _open(self):
        self.delayDisplay("Open: sample data")
        self.ui["open"].sampleButton.click()
        self._wait_for_case()
        self.assertEqual(self.widget.opening.state.problems, ())
        self.assertEqual(self.widget.session.opened.case.id, "phantom_000")

    def _look(self):
        self.delayDisplay("Look: vote, reference and members, side by side, with the agreement map")
        look = self.widget.look
        shown = [layer for layer in look.state.layers if layer.ticked]
        self.assertEqual([layer.key for layer in shown[:2]], [VOTE, REFERENCE])
        self.assertEqual(self._visible(), len(shown))
        look.choose_map(AGREEMENT)
        if slicer.app.layoutManager() is not None:  # there are no views without a main window
            look.arrange("beside")
            self.assertIsNotNone(slicer.mrmlScene.GetSingletonNode("SegVariance1", "vtkMRMLSliceNode"))
            look.arrange("against")
            self.assertEqual(self._visible(), 2)
            look.arrange("overlay")
        self.ui["look"].nextStructureButton.click()
        self.assertEqual(look.state.problem, "")

    def _ensemble_and_clean(self):
        self.delayDisplay("Ensemble and clean: three members vote, the largest component stays")
        ensemble = self.widget.ensemble
        members = [member.key for member in ensemble.state.members]
        ensemble.tick_all(frozenset(members[:3]))
        self.assertEqual(ensemble.state.result, "3 of 6 members vote.")
        for button, done in (("compareRulesButton", "rules"), ("leaveOutButton", "influence")):
            getattr(self.ui["ensemble"], button).click()
            self._wait(lambda done=done: getattr(ensemble.state.beside, done), button, _AT_ONCE_S)
        self.ui["ensemble"].showDifferingButton.click()
        self.assertEqual(self.widget.look.state.overlay.kind, "rules_differ")
        self.widget.look.choose_map(NO_MAP)
        ensemble.cleaning.choose_step("keep_largest")
        for component in ensemble.state.clean.components[:1]:
            ensemble.cleaning.jump_to(component.number)
        before = self._names()
        self.ui["ensemble"].applyButton.click()
        self.assertEqual(len(self._names()), len(before) + 1)
        exported = self.folder / "vote.seg.nrrd"
        ensemble.export(str(exported))
        self.assertTrue(exported.is_file(), ensemble.state.problem)

    def _regions(self):
        self.delayDisplay("Regions: labels rebuilt step by step, a threshold moved, the recipe written")
        regions, ui, before = self.widget.regions, self.ui["regions"], self._names()
        regions.define("whole=1,2,3; inner=2,3; innermost=3")
        ui.inspectButton.click()
        self.assertEqual(regions.state.problem, "")
        self.assertEqual(self._visible(), 3 + 1)  # the inspector's, and what was kept before
        ui.previousButton.click()
        self.assertEqual(regions.state.step, 2)
        ui.nextButton.click()
        self.widget.panels[3].sliders[1].slider.setValue(20)
        self.assertIn("0.20", regions.state.sliders[1].words)
        regions.choose_map("inner")
        recipe = self.folder / "regions.json"
        regions.write(str(recipe))
        self.assertEqual(RegionRecipe.read(recipe).thresholds, (0.5, 0.2, 0.5), regions.state.problem)
        ui.inspectButton.click()
        self.assertEqual(self._names(), before)

    def _score_and_click_to_slice(self):
        self.delayDisplay("Scores: of this case, then of all; a click on the worst row leads to its worst slice")
        scores, ui = self.widget.scores, self.ui["scores"]
        for button, cases in ((ui.scoreCaseButton, 1), (ui.scoreAllButton, 6)):
            button.click()
            self._wait(lambda: not scores.state.busy and scores.state.progress is None, "scoring", _LATE_S)
            self.assertEqual(scores.state.problem, "")
            self.assertEqual(len(scores.table.unique("case")), cases)
        if not self._slice_nodes():  # there are none without a main window
            slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
        self._click(0)
        self._click(ui.scoresTable.rowCount - 1)

        table, report = self.folder / "scores.csv", self.folder / "report.html"
        scores.export_csv(str(table))
        self.assertEqual(len(ScoreTable.read(table).scores), len(scores.table.scores), scores.state.problem)
        scores.export_report(str(report))
        self._wait(lambda: not scores.state.busy, "the report", _SOON_S)
        self.assertTrue(report.is_file(), scores.state.problem)

    def _click(self, row: int):
        """On a row of the table, as its signal cellClicked tells the panel; then look where the slice views stand."""
        self.widget.panels[4]._clicked(row, 0)
        self._wait_for_case()
        self.assertEqual(self.widget.scores.state.problem, "")
        case, structure, member = self.widget.scores.state.selected
        opened = self.widget.session.opened
        self.assertEqual((case, structure), (opened.case.id, self.widget.session.structure))
        found = worst_place(
            opened.reference, opened.maps.member(member), structure_named(opened.labels, structure), opened.geometry
        )
        self.assertIsNotNone(found)
        right, anterior, superior = -found[1][0], -found[1][1], found[1][2]  # LPS to RAS
        for node in self._slice_nodes():
            matrix = node.GetSliceToRAS()
            normal, origin = ([matrix.GetElement(axis, column) for axis in range(3)] for column in (2, 3))
            away = sum(n * (p - o) for n, p, o in zip(normal, (right, anterior, superior), origin, strict=True))
            self.assertAlmostEqual(away, 0.0, places=3, msg=f"mm between {node.GetName()} and the worst slice")

    def _compare(self):
        self.delayDisplay("Compare: the trainings of one recipe, in a sentence")
        compare, ui = self.widget.compare, self.ui["compare"]
        ui.compareButton.click()
        self._wait(lambda: compare.state.progress is None, "comparing", _SOON_S)
        self.assertEqual(compare.state.problem, "")
        self.assertIsNotNone(compare.state.answer)
        self.assertTrue(compare.state.answer.sentence)
        self.assertEqual(str(ui.sentenceLabel.text), compare.state.answer.sentence)
        self.assertIn("Open a transfer study", str(self.ui["transfer"].hintLabel.text))
        adapt = self.widget.adaptation
        self.assertEqual(str(self.ui["adapt"].caseLabel.text), self.widget.session.opened.case.id)
        self.assertEqual(str(self.ui["adapt"].sentenceLabel.text), adapt.state.sentence)

    def _train(self):
        environment, python = self.widget.environment, os.environ.get(PYTHON, "")
        borrowed = environment.worker() is None and bool(python)
        if borrowed:
            self.delayDisplay(f"Environment: check that {python} can train")
            environment.use_python(python)
            self._wait(lambda: not environment.state.busy, "checking the environment", _LATE_S)
            self.assertEqual(environment.state.problem, "")
        if environment.worker() is None:
            self.delayDisplay(f"Train: SKIPPED. Build an environment first, or name a Python with torch in {PYTHON}.")
            return
        study = self.folder / "study"
        try:
            self._start_and_stop(study)
        finally:
            if (study / "plan.json").is_file():
                kill_worker(StudyFolder(study))
            if borrowed:
                environment.use_built()

    def _follow_again(self, study: str, wishes: TrainingWishes):
        """What the user was following; the study of this test is deleted."""
        training = self.widget.training
        if study:
            training.open_study(study)
        else:
            training.close_study()
        training.wish(**asdict(wishes))

    def _start_and_stop(self, study: Path):
        self.delayDisplay("Train: plan, start, wait for the first steps, stop")
        training, ui = self.widget.training, self.ui["train"]
        training.wish(dataset=self.widget.logic.sample_folder(), study=str(study), seeds=1, folds=1, threads=1)
        training.wish(budget=_NEVER_DONE, budget_unit="steps", device="cpu", groups="")
        ui.planButton.click()
        self._wait(lambda: training.state.can_start or training.state.problem, "planning", _LATE_S)
        self.assertEqual(training.state.problem, "")
        self.assertIn("1 training of", training.state.cost)
        ui.startButton.click()
        self._wait(lambda: training.state.runs[0].step > 0 or training.state.problem, "the first step", _LATE_S)
        self.assertEqual(training.state.problem, "")
        self._wait(lambda: training.state.can_stop, "the training to be seen", _AT_ONCE_S)
        worker = worker_record(StudyFolder(study))
        self.assertIsNotNone(worker)
        ui.stopButton.click()
        self._wait(lambda: training.state.can_start or training.state.problem, "stopping", _SOON_S)
        self.assertEqual((training.state.problem, training.state.start_text), ("", "Resume"))
        self.assertIn("Stopped", training.state.sentence)
        self.assertFalse(is_alive(worker), "somebody is still working")
        self.assertIsNone(worker_record(StudyFolder(study)))

    def _close_and_open_again(self):
        self.delayDisplay("Close the scene and open it again: no layer twice, what was made stays")
        look, opening, saved = self.widget.look, self.widget.opening, self.folder / "scene.mrb"
        look.choose_map(NO_MAP)
        for open_case in (lambda: look.choose_case("phantom_000"), lambda: look.next_case(1)):
            open_case()
            self._wait_for_case()
        layers, layout = self._names(), self._layout()
        if slicer.app.layoutManager() is not None:
            look.arrange("beside")
            self.assertNotEqual(self._layout(), layout)
        study, remembered = self.widget.training.state.study, self.widget.logic.getParameterNode
        self._wait(lambda: remembered().study == study, "remembering the study", _AT_ONCE_S)
        self.assertTrue(slicer.util.saveScene(str(saved)))
        slicer.mrmlScene.Clear()
        self.assertIsNone(self.widget.session.opened)
        self.assertEqual((self._names(), self._layout()), ([], layout))
        slicer.util.loadScene(str(saved))
        self.assertEqual((self._names(), self._layout()), (layers, layout))
        self.assertEqual(opening.state.folders, (self.widget.logic.sample_folder(),))
        self.assertIsNone(self.widget.session.opened)
        self.assertEqual(remembered().study, study)
        self.ui["open"].confirmButton.click()
        self._wait_for_case()
        self.assertEqual(opening.state.problems, ())
        self.assertEqual(self.widget.session.opened.case.id, "phantom_001")
        self.assertEqual(self.widget.ensemble.state.result, "3 of 6 members vote.")
        self.assertEqual(self._names(), layers)
        self.assertEqual(self._visible(), sum(layer.ticked for layer in look.state.layers) + 1)

    def _wait_for_case(self):
        self._wait(lambda: not self.widget.session.opening.coming, "opening a case", _SOON_S)

    def _wait(self, until: Callable[[], Any], what: str, seconds: float):
        """Let the application go on, so that its timers and the user's window do, until something is so."""
        deadline = time.monotonic() + seconds
        while not until():
            self.assertLess(time.monotonic(), deadline, f"{what} took longer than {seconds:g} s")
            slicer.app.processEvents()
            time.sleep(0.02)

    def _names(self) -> list[str]:
        """Of everything that layers and kept results are made of."""
        kinds = ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode")
        return sorted(node.GetName() for kind in kinds for node in slicer.util.getNodesByClass(kind))

    def _visible(self) -> int:
        """Segmentation nodes that are shown."""
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        return sum(bool(node.GetDisplayNode().GetVisibility()) for node in nodes)

    def _layout(self) -> int | None:
        """Which views the user sees; None without a main window."""
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        return None if node is None else node.GetViewArrangement()

    def _slice_nodes(self) -> list[Any]:
        return slicer.util.getNodesByClass("vtkMRMLSliceNode")
