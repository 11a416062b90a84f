"""How long an adaptation takes here: one step, one prediction and one alignment, timed before it is planned."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..dataset.case import Case
from ..plan.adaptation import AdaptationPlan, AdaptationSettings
from ..plan.adaptation_folder import AdaptationFolder
from ..plan.study_folder import StudyFolder
from ..prediction import inference_learning as learning
from ..prediction.deformation import align
from ..prediction.inference_learning import Work
from ..prediction.neighbours import Target
from ..training.cache import cached_case
from ..training.patches import TrainingCase
from .adapting import work_of


@dataclass(frozen=True)
class Pace:
    """Seconds of one step, one prediction and one alignment, for this image on this machine."""

    step_s: float
    prediction_s: float
    alignment_s: float

    def fixed_s(self, settings: AdaptationSettings, members: int) -> float:
        """All but the steps."""
        predictions = (settings.rounds * settings.predictions + 1) * members
        return settings.rounds * settings.neighbours * self.alignment_s + predictions * self.prediction_s


def measure(plan: AdaptationPlan, study: StudyFolder) -> Pace:
    """Time one of each on the first training cases."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = AdaptationFolder(Path(temporary))
        work = work_of(folder, plan, study, lambda *_, **__: None, lambda: False)
        work = replace(work, weights=work.weights[:1])
        begun = time.perf_counter()
        learning.begin(work)
        prediction_s = time.perf_counter() - begun
        cases = [_read(study.case(name), study, work) for name in plan.training_cases[:2]]
        begun = time.perf_counter()
        target = Target(work.image(), learning.current_mask(work, 0))
        align(cases[0], target, plan.settings, work.classes, work.facts.preprocessing.spacing_zyx_mm)
        alignment_s = time.perf_counter() - begun
        trainer = learning.trainer_of(work, 0, 0, cases)
        times = []
        for _ in range(6):
            begun = time.perf_counter()
            trainer.train_step()
            times.append(time.perf_counter() - begun)
    return Pace(min(times[2:]), prediction_s, alignment_s)


def _read(case: Case, study: StudyFolder, work: Work) -> TrainingCase:
    return cached_case(case, study.labels, work.facts.preprocessing)
