"""From a study or a run, and an image, to a planned adaptation: which networks begin, which training cases may become neighbours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import safe_name, sha256_of_file
from ..dataset.case import Case
from ..plan.adaptation import ADAPTED, SCHEMA, AdaptationPlan, AdaptationSettings, Start, training_digest
from ..plan.adaptation_folder import AdaptationFolder
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import Configuration

_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(steps?|min(?:utes?)?)\s*")
_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class AdaptationWishes:
    """What the user chooses. ``budget``: '60 steps' a round, or '2 minutes' for the case on this machine; None: as ``settings`` says.
    ``augmented``: copies of test-time augmentation; None: as many as take as long as an adaptation, measured when planned."""

    configuration: str | None = None
    settings: AdaptationSettings = field(default_factory=AdaptationSettings)
    variant: str = ADAPTED
    budget: str | None = None
    augmented: int | None = None
    seed: int = 0
    device: str = "auto"
    threads: int = 1


def plan_adaptation(
    study_or_run: Path,
    images: Sequence[Path],
    output: Path | None,
    wishes: AdaptationWishes,
    say: Callable[[str], object] = lambda sentence: None,
) -> AdaptationFolder:
    """Write the plan into a new folder, or find it there as it was.

    Raises:
        SegVarianceError: no run can be loaded, all have seen this image, the images do not fit, or the folder holds another adaptation.
    """
    study, runs = starts_of(study_or_run, wishes.configuration)
    images = [Path(image).resolve() for image in images]
    for image in images:
        if not image.is_file():
            raise SegVarianceError(f"{image} does not exist. Give the image file of the case, one for each channel.")
    if len(set(images)) < len(images):
        raise SegVarianceError("An image was given twice. Give the files of one case, each once: one for each channel.")
    digests = tuple(map(sha256_of_file, images))
    runs = _that_have_not_seen(study, runs, images[0], digests)
    cases = training_cases(study, runs)
    folder = AdaptationFolder(output or default_folder(study, runs, case_name(images[0]), wishes.variant))
    plan = AdaptationPlan(
        schema=SCHEMA,
        case=case_name(images[0]),
        ending=study.dataset.file_ending,
        images=tuple(map(str, images)),
        images_sha256=digests,
        study=str(study.root),
        starts=tuple(_start(study, run) for run in runs),
        training_cases=tuple(case.id for case in cases),
        training_digest=training_digest(study, cases),
        variant=wishes.variant,
        settings=wishes.settings,
        seed=wishes.seed,
        device=_device_kind(wishes.device),
        threads=wishes.threads,
    )
    if folder.plan_path.exists():
        _same(folder, plan, wishes).write(folder.plan_path)  # its files may lie elsewhere now
        return AdaptationFolder(folder.root)
    if wishes.budget is not None:
        plan = replace(plan, settings=_within(wishes.budget, plan, study, say))
    if plan.settings.augmented:
        copies = wishes.augmented or copies_at_equal_time(plan, study, say)
        plan = replace(plan, settings=replace(plan.settings, augmented=copies))
    plan.write(folder.plan_path)
    return folder


def copies_at_equal_time(
    plan: AdaptationPlan, study: StudyFolder, say: Callable[[str], object] = lambda sentence: None
) -> int:
    """Predictions of disturbed copies that take as long as adapting with the same settings, on this machine."""
    from .adaptation_pace import measure

    say("Timing a step, a prediction and an alignment")
    pace, settings = measure(plan, study), plan.settings
    steps_s = settings.rounds * settings.steps * pace.step_s
    return max(1, round((pace.fixed_s(settings, 1) + steps_s) / pace.prediction_s))


def starts_of(study_or_run: Path, configuration: str | None) -> tuple[StudyFolder, list[Run]]:
    """The study, and its finished runs that are meant: one, or all of one configuration.

    Raises:
        SegVarianceError: neither a study nor a run of one; none is finished; several configurations and none named; runs of nnU-Net.
    """
    path = Path(study_or_run).resolve()
    root = next((folder for folder in (path, *path.parents) if (folder / "plan.json").is_file()), None)
    if root is None:
        raise SegVarianceError(
            f"{study_or_run} is neither a study nor a run of one. Give the folder of a study, or of a run below it."
        )
    study = StudyFolder.open(root)
    runs = [run for run in study.runs if path in (root, study.run_folder(run)) and study.is_done(run)]
    if configuration is not None:
        study.plan.configuration(configuration)
        runs = [run for run in runs if run.configuration == configuration]
    if not runs:
        raise SegVarianceError(
            f"{study_or_run} has no finished training to begin with. Run the study first: segvariance run {root}"
        )
    names = list(dict.fromkeys(run.configuration for run in runs))
    if len(names) > 1:
        raise SegVarianceError(
            f"The study has the configurations {', '.join(names)}. Choose one: --configuration {names[0]}"
        )
    if not isinstance(study.plan.configuration(names[0]), Configuration):
        raise SegVarianceError(
            f"{names[0]!r} was trained by nnU-Net, whose networks only its own environment can load. Adapt runs of the built-in backend."
        )
    return study, runs


def training_cases(study: StudyFolder, runs: Sequence[Run]) -> list[Case]:
    """Every case that one of the runs was trained on."""
    return [study.case(case_id) for case_id in sorted({name for run in runs for name in study.fold_of(run).training})]


def default_folder(study: StudyFolder, runs: Sequence[Run], case: str, variant: str = ADAPTED) -> Path:
    """``adaptations/CONFIGURATION/VARIANT/MEMBER/CASE`` of the study; the member is ``all`` where several begin."""
    member = runs[0].member if len(runs) == 1 else "all"
    return study.root / "adaptations" / runs[0].configuration / variant / member / case


def case_name(image: Path) -> str:
    name = next((image.name.removesuffix(ending) for ending in _ENDINGS if image.name.endswith(ending)), image.stem)
    return safe_name(re.sub(r"_\d{4}$", "", name), "name of the case")


def _that_have_not_seen(study: StudyFolder, runs: list[Run], image: Path, digests: tuple[str, ...]) -> list[Run]:
    """With folds, those runs that held the image out; a new image is new to all.

    Raises:
        SegVarianceError: every run was trained on it, so its reference has already been used.
    """
    seen = {case.id for case in training_cases(study, runs) if {*map(sha256_of_file, case.images)} & set(digests)}
    left = [run for run in runs if not seen & set(study.fold_of(run).training)]
    if not left:
        raise SegVarianceError(
            f"{image} is training case {min(seen)!r} of these runs: they have learnt its reference, and there is nothing to adapt. Give an image "
            "that they have not seen."
        )
    return left


def _start(study: StudyFolder, run: Run) -> Start:
    path = study.weights(run)
    return Start(path.relative_to(study.root).as_posix(), sha256_of_file(path), str(run))


def _same(folder: AdaptationFolder, plan: AdaptationPlan, wishes: AdaptationWishes) -> AdaptationPlan:
    """``plan`` with what was measured when the one in the folder was planned; raises where that is of another adaptation."""
    there = folder.plan.settings
    measured = plan.settings
    if wishes.budget is not None:
        measured = replace(measured, steps=there.steps)
    if measured.augmented:
        measured = replace(measured, augmented=there.augmented)
    plan = replace(plan, settings=measured)
    if folder.plan.inputs != plan.inputs:
        raise SegVarianceError(
            f"{folder.root} holds another adaptation (other networks, image, cases or settings). Give another --output, or delete the folder."
        )
    return plan


def _device_kind(device: str) -> str:
    from ..model.device import open_device  # torch takes seconds to load

    return open_device(device, 1).kind


def _within(budget: str, plan: AdaptationPlan, study: StudyFolder, say: Callable[[str], object]) -> AdaptationSettings:
    """Settings with as many steps a round as the budget holds.

    Raises:
        SegVarianceError: the budget is not understood, or too small.
    """
    match = _BUDGET.fullmatch(budget)
    if not match:
        raise SegVarianceError(
            f"Budget {budget!r} is not understood. Give for example '60 steps' (a round) or '2 minutes'."
        )
    settings = plan.settings
    if match[2].startswith("step"):
        steps = int(float(match[1]))
        if steps < settings.predictions:
            raise SegVarianceError(
                f"Budget {budget!r} is too small: a round needs at least {settings.predictions} steps."
            )
        return replace(settings, steps=steps)
    from .adaptation_pace import measure

    say("Timing a step, a prediction and an alignment")
    pace = measure(plan, study)
    fixed_s = pace.fixed_s(settings, len(plan.starts))
    left_s = float(match[1]) * 60 - fixed_s
    steps = int(left_s / (settings.rounds * len(plan.starts) * pace.step_s))
    if steps < settings.predictions:
        least_s = fixed_s + settings.rounds * len(plan.starts) * settings.predictions * pace.step_s
        raise SegVarianceError(
            f"Budget {budget!r} is too small for this image on this machine: {settings.neighbours} neighbours in {settings.rounds} rounds take at "
            f"least {least_s / 60:.1f} minutes. Give more, or fewer --neighbours or --rounds."
        )
    return replace(settings, steps=steps)
