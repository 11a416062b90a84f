"""The SegVariance module of 3D Slicer: metadata, and the widget that puts the panels together."""

import sys
from pathlib import Path

import ctk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Installed, SegVarianceLib lies beside this file, where Slicer looks by itself. In a checkout (developer mode) it lies
# beside this file's folder, where nobody looks. This is the only place that changes the path.
_CHECKOUT = Path(__file__).resolve().parents[1]
if (_CHECKOUT / "SegVarianceLib").is_dir() and str(_CHECKOUT) not in sys.path:
    sys.path.append(str(_CHECKOUT))

from SegVarianceSlicer.child_process import ChildProcesses  # noqa: E402
from SegVarianceSlicer.panels.adapt import AdaptPanel  # noqa: E402
from SegVarianceSlicer.panels.compare import ComparePanel  # noqa: E402
from SegVarianceSlicer.panels.ensemble import EnsemblePanel  # noqa: E402
from SegVarianceSlicer.panels.environment import EnvironmentPanel  # noqa: E402
from SegVarianceSlicer.panels.look import LookPanel  # noqa: E402
from SegVarianceSlicer.panels.open import OpenPanel  # noqa: E402
from SegVarianceSlicer.panels.regions import RegionsPanel  # noqa: E402
from SegVarianceSlicer.panels.scores import ScoresPanel  # noqa: E402
from SegVarianceSlicer.panels.settings import Settings  # noqa: E402
from SegVarianceSlicer.panels.train import TrainPanel  # noqa: E402
from SegVarianceSlicer.panels.transfer import TransferPanel  # noqa: E402
from SegVarianceSlicer.parameters import ReviewPresenters, recall, remember  # noqa: E402
from SegVarianceSlicer.presenter_adapt import AdaptPresenter  # noqa: E402
from SegVarianceSlicer.presenter_compare import ComparePresenter  # noqa: E402
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter  # noqa: E402
from SegVarianceSlicer.presenter_environment import EnvironmentPresenter  # noqa: E402
from SegVarianceSlicer.presenter_look import BESIDE, LookPresenter  # noqa: E402
from SegVarianceSlicer.presenter_open import OpenPresenter  # noqa: E402
from SegVarianceSlicer.presenter_regions import RegionsPresenter  # noqa: E402
from SegVarianceSlicer.presenter_review import ReviewSession  # noqa: E402
from SegVarianceSlicer.presenter_scores import ScoresPresenter, WorstSlices  # noqa: E402
from SegVarianceSlicer.presenter_training import TrainingPresenter  # noqa: E402
from SegVarianceSlicer.presenter_transfer import TransferPresenter  # noqa: E402
from SegVarianceSlicer.review_scene import ReviewScene  # noqa: E402
from SegVarianceSlicer.sample import sample_in  # noqa: E402
from SegVarianceSlicer.self_test import SegVarianceTest  # noqa: E402, F401 (the application finds it here by its name)

from SegVarianceLib.review.into_study import study_of  # noqa: E402 (needs the path above)
from SegVarianceLib.scene.inspector import InspectorScene  # noqa: E402

_SAMPLE = "SegVariancePhantom"
_TICK_MS = 1000
"""How often processes and study folders are asked what is new."""
_PAUSE_MS = 20
"""Between two label maps that are read ahead."""


class SegVariance(ScriptedLoadableModule):
    """What the application shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("SegVariance")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Volumes", "SubjectHierarchy", "Terminologies"]
        parent.contributors = ["SegVariance maintainers"]
        parent.helpText = _(
            "Is this segmentation better, or was the training run lucky? Open the predictions of several trainings, "
            "look at them and their vote case by case, clean the vote, and see what a difference between two methods is "
            "worth beside the difference between two trainings of one."
        )
        parent.acknowledgementText = _(
            "Voting, clean-up and folder layouts follow Heckemann et al. 2006 (NeuroImage 33:115-126) and Isensee et al. "
            "2021 (Nat Methods 18:203-211); every number in a report names its method and source."
        )
        slicer.app.connect("startupCompleted()", _register_sample_data)


@parameterNodeWrapper
class SegVarianceParameters:
    """What survives in a saved scene; ``SegVarianceSlicer.parameters`` writes and reads it."""

    folders: list[str]
    pattern: str
    images: str
    references: str
    caseId: str  # noqa: N815 (named as Slicer names parameters)
    members: list[str]
    rule: str
    study: str


class SegVarianceLogic(ScriptedLoadableModuleLogic):
    """The parameter node, and where the sample data lies."""

    def getParameterNode(self):  # noqa: N802 (Slicer calls it so)
        return SegVarianceParameters(super().getParameterNode())

    def sample_folder(self) -> str:
        """Folder of the sample data, made now if it is not there yet."""
        return str(sample_in(Path(slicer.app.temporaryPath) / _SAMPLE))


class SegVarianceWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A section for each panel, one session behind all of them."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SegVarianceLogic()
        self._make_presenters()
        self.panels = [
            OpenPanel(self._section(_("Open"), "open"), self.opening, self.logic.sample_folder),
            LookPanel(self._section(_("Look"), "look"), self.look),
            EnsemblePanel(self._section(_("Ensemble and clean"), "ensemble", True), self.ensemble),
            RegionsPanel(self._section(_("Regions"), "regions", True), self.regions),
            ScoresPanel(self._section(_("Scores"), "scores", True), self.scores),
            ComparePanel(self._section(_("Compare"), "compare", True), self.compare),
            TransferPanel(self._section(_("Transfer"), "transfer", True), self.transfer),
            TrainPanel(self._section(_("Train"), "train", True), self.training),
            AdaptPanel(self._section(_("Adapt to this case"), "adapt", True), self.adaptation),
            EnvironmentPanel(self._section(_("Environment"), "environment", True), self.environment),
        ]
        self.layout.addStretch(1)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._recall)
        self.addObserver(scene, scene.EndImportEvent, self._recall)
        self.session.listen(self._remember)
        self._recall()
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def _make_presenters(self):
        scene = ReviewScene(slicer.mrmlScene, slicer.app.applicationLogic())
        self.session = ReviewSession(scene, _show_progress, _later, _when_idle)
        self.opening, self.look = OpenPresenter(self.session), LookPresenter(self.session)
        self._processes = ChildProcesses()
        self.ensemble = EnsemblePresenter(
            self.session, self._on_vote, show_map=self.look.show_differing, runner=self._processes
        )
        self._presenters = ReviewPresenters(self.session, self.opening, self.ensemble)
        self.regions = RegionsPresenter(self.session, InspectorScene(slicer.mrmlScene), self._show_layers_again)
        self.scores = ScoresPresenter(self.session, WorstSlices(self.session), _later)
        self.compare = ComparePresenter(_later, self._study_folder)
        self.scores.listen(self.compare.use_table)
        self.transfer = TransferPresenter(_later, self._study_folder)
        self.scores.listen(self.transfer.use_table)
        settings = Settings(slicer.app.userSettings(), "SegVariance")
        variables = slicer.util.startupEnvironment()
        self.environment = EnvironmentPresenter(self._processes, settings, variables=variables)
        self.training = TrainingPresenter(
            self._processes, self.environment.worker, landed=self._on_landed, settings=settings
        )
        self._followed = self.training.state.study
        self.adaptation = AdaptPresenter(
            self.session,
            self.opening,
            self._processes,
            self.environment.worker,
            settings,
            lambda: self.look.arrange(BESIDE),
        )

    def cleanup(self):
        """The module is reloaded or the application ends; trainings go on by themselves."""
        self._timer.stop()
        self.removeObservers()
        self._processes.close()
        self.session.close()

    def onReload(self):  # noqa: N802 (Slicer calls it so)
        """Reload the files behind this one too; the application knows of this one only."""
        for name in [name for name in sys.modules if name.split(".")[0] in ("SegVarianceLib", "SegVarianceSlicer")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _section(self, title: str, name: str, collapsed: bool = False):
        button = ctk.ctkCollapsibleButton()
        button.text = title
        button.collapsed = collapsed
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
        qt.QVBoxLayout(button).addWidget(widget)
        self.layout.addWidget(button)
        return widget

    def _tick(self):
        self.environment.tick()
        self.training.tick()
        self.adaptation.tick()
        if self.training.state.study != self._followed:  # no event tells that a scene is going to be saved
            self._followed = self.training.state.study
            self._remember()

    def _study_folder(self):
        """The study that is open; None where none or several are."""
        study = study_of(self.session.review)
        return None if study is None else study.root

    def _on_vote(self):
        self.look.result_changed()
        self._remember()

    def _show_layers_again(self):
        """The inspector of regions has shown its own in their place."""
        self.look.arrange(self.look.state.arrangement)
        self.look.result_changed()

    def _on_landed(self, run, cases):
        """New predictions of a study that trains: they appear where it is open."""
        review, study = self.session.review, self.training.state.study
        if review is not None and Path(study) in review.request.paths:
            self.opening.look_again()

    def _remember(self, caller=None, event=None):
        if slicer.mrmlScene.IsClosing():
            return
        node = self.logic.getParameterNode()
        remember(node, self._presenters)
        node.study = self.training.state.study

    def _recall(self, caller=None, event=None):
        if slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting():
            return
        node = self.logic.getParameterNode()
        recall(node, self._presenters)
        if node.study not in ("", self.training.state.study) and (Path(node.study) / "plan.json").is_file():
            self.training.open_study(node.study)

    def _on_scene_closes(self, caller=None, event=None):
        self.session.scene_closed()


def _later(act) -> None:
    qt.QTimer.singleShot(0, act)


def _when_idle(act) -> None:
    """After a pause in which the window can do what the user asks of it."""
    qt.QTimer.singleShot(_PAUSE_MS, act)


def _show_progress(what: str, done: int, total: int) -> None:
    """In the status bar, drawn at once; events are not processed, since a click now would come in the middle."""
    slicer.util.showStatusMessage(f"{what}: {done} of {total}")
    if slicer.util.mainWindow() is not None:
        slicer.util.mainWindow().statusBar().repaint()


def _register_sample_data() -> None:
    import SampleData  # the module of the application, which is there once it has started

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SegVariance",
        sampleName=_SAMPLE,
        uris="",
        fileNames="",
        nodeNames=_SAMPLE,
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "SegVariance.png"),
        customDownloader=_open_sample_data,
    )


def _open_sample_data(source) -> None:
    """Made here, not downloaded: from a seed, the same voxels everywhere."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("SegVariance")
    widget = slicer.modules.segvariance.widgetRepresentation().self()
    widget.opening.look_into((widget.logic.sample_folder(),))
    widget.opening.confirm()
