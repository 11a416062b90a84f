"""The commands that also work on plain folders: predict, clean, score."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.labels import LabelSet, Structure
from ..core.machine import usable_cores
from ..core.words import counted
from ..dataset.dataset_json import open_dataset
from ..dataset.image_io import images_in, read_case_images, read_image, write_label_map
from ..dataset.probability_maps import write_probabilities
from ..dataset.splits import read_groups
from ..ensemble.clean_up import CleanUpStep, apply_steps, clean_folder
from ..ensemble.clean_up_recipe import CleanUpRecipe
from ..ensemble.ensemble_recipe import EnsembleRecipe
from ..evaluation.evaluate import Member, discover_labels, score_members
from ..evaluation.score_table import Score, ScoreTable
from ..plan.study_folder import StudyFolder
from ..review.declared import declared_in
from . import commands_nnunet
from .nnunet_results import is_results, labels_told, score_results
from .terminal import out, progress_bar

_SEED_IN_NAME = re.compile(r"seed[_-]?(\d+)$")


def add_predict_options(predict: ArgumentParser) -> None:
    predict.add_argument(
        "models", nargs="+", help="a study, run folders, or weights.safetensors files; several are averaged"
    )
    predict.add_argument("--recipe", default=None, help="ensemble_recipe.json of best; then give the studies it names")
    predict.add_argument("--images", required=True, help="folder of images; channels as CASE_0000, CASE_0001")
    predict.add_argument("--regions", default=None, metavar="JSON", help="rebuild labels as regions.json says")
    predict.add_argument("--output", required=True, help="folder for the label maps")
    predict.add_argument("--probabilities", action="store_true", help="also write 8-bit class probabilities")
    predict.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    predict.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")


def predict(arguments: Namespace) -> int:
    if commands_nnunet.predict(arguments):
        return 0
    from ..model.device import open_device
    from ..prediction.predict import open_predictor
    from ..prediction.rebuilding import rebuilding

    recipe = None if arguments.recipe is None else EnsembleRecipe.read(Path(arguments.recipe))
    if recipe is None:
        weights = [path for model in arguments.models for path in _weights_of(Path(model))]
    elif recipe.rule != "mean_probability":
        raise SegVarianceError(
            f"Prediction averages probabilities, the recipe asks for {recipe.rule}. Predict with each member, then: segvariance "
            f"ensemble FOLDERS --rule {recipe.rule}"
        )
    else:
        weights = recipe.weights_files([Path(model) for model in arguments.models])
    images_in(Path(arguments.images))
    cases = read_case_images(Path(arguments.images))
    threads = arguments.threads or usable_cores()
    predictor = open_predictor(weights, open_device(arguments.device, threads))
    rebuild = None if arguments.regions is None else rebuilding(Path(arguments.regions), predictor.facts)
    output = Path(arguments.output)
    with progress_bar() as progress:
        for done, (case_id, images) in enumerate(cases.items()):
            progress(f"Predicting with {counted(len(weights), 'member')}", done, len(cases))
            volume = read_image(images)
            prediction = predictor.predict(volume, arguments.probabilities or rebuild is not None)
            ending = next(end for end in (".nii.gz", ".nii", ".nrrd", ".mha") if images[0].name.endswith(end))
            label_map = prediction.label_map
            if rebuild is not None and prediction.probabilities is not None:
                label_map = rebuild(prediction.probabilities)
            if recipe is not None and recipe.clean_up is not None:
                clean_up = recipe.clean_up
                label_map = apply_steps(
                    clean_up.steps, label_map, clean_up.labels, volume.geometry.voxel_volume_mm3
                ).label_map
            write_label_map(output / f"{case_id}{ending}", label_map, volume.geometry, like=images[0])
            if prediction.probabilities is not None and arguments.probabilities:
                path, names = output / "probabilities" / f"{case_id}.nrrd", predictor.facts.class_names
                write_probabilities(path, prediction.probabilities, volume.geometry, names, like=images[0])
    out.print(f"{counted(len(cases), 'case')} predicted by {counted(len(weights), 'member')}: {output}", markup=False)
    return 0


def clean(arguments: Namespace) -> int:
    files = images_in(Path(arguments.folder))
    steps, structures, known = _clean_up(arguments, list(files.values()))
    with progress_bar() as progress:
        removed = clean_folder(
            steps,
            files,
            structures,
            Path(arguments.output),
            known,
            lambda done, of: progress("Clean-up", done, of),
        )
    components = [component for found in removed.values() for component in found]
    volume_ml = sum(component.volume_ml for component in components)
    out.print(
        f"{counted(len(files), 'case')}: {counted(len(components), 'component')} of {volume_ml:.3f} ml in all removed; {arguments.output}/removed.csv lists them",
        markup=False,
    )
    return 0


def _clean_up(
    arguments: Namespace, label_maps: Sequence[Path]
) -> tuple[Sequence[CleanUpStep], Sequence[Structure], frozenset[int] | None]:
    """Steps, the structures that they name, and the label values allowed: as the recipe says, or one step on all structures."""
    if arguments.recipe is not None:
        if arguments.step is not None or arguments.minimum_mm3 is not None:
            raise SegVarianceError("--recipe says every step. Leave out --step and --minimum-mm3, or the recipe.")
        recipe = CleanUpRecipe.read(Path(arguments.recipe))
        if arguments.dataset is not None:
            recipe.require_same_labels(open_dataset(Path(arguments.dataset)).labels)
        return recipe.steps, recipe.labels, recipe.known_values
    settings = {} if arguments.minimum_mm3 is None else {"minimum_mm3": arguments.minimum_mm3}
    structures = labels_of(arguments.dataset, label_maps).structures
    return (
        [CleanUpStep(arguments.step or "keep_largest", tuple(each.name for each in structures), settings)],
        structures,
        None,
    )


def score(arguments: Namespace) -> int:
    patients = None if arguments.groups is None else read_groups(Path(arguments.groups), arguments.group_column)
    of_nnunet = any(is_results(Path(folder)) for folder in arguments.folders)
    scores = score_results(arguments) if of_nnunet else _score_folders(arguments, patients)
    cases = {found.case for found in scores}
    _require_groups(arguments, patients, cases)
    ScoreTable(scores, patients).write(Path(arguments.output))
    members = {(found.configuration, found.member) for found in scores}
    out.print(
        f"{counted(len(members), 'member')} on {counted(len(cases), 'case')}, {counted(len(scores), 'score')}: {arguments.output}",
        markup=False,
    )
    return 0


def _score_folders(arguments: Namespace, patients: Mapping[str, str] | None) -> tuple[Score, ...]:
    if arguments.references is None:
        raise SegVarianceError("Predictions are scored against references. Give their folder: --references FOLDER.")
    references = images_in(Path(arguments.references))
    declared = declared_in(map(Path, arguments.folders), []).labels
    labels = labels_told(arguments) or declared or discover_labels(list(references.values()))
    members = {_member(Path(folder), arguments.configuration): images_in(Path(folder)) for folder in arguments.folders}
    if len(members) < len(arguments.folders):
        raise SegVarianceError("Two folders have one name. Members are named by their folders: rename one of them.")
    if arguments.only_predicted:
        predicted = {case_id for files in members.values() for case_id in files}
        out.print(f"{len(references.keys() - predicted)} references without any prediction are left out.")
        references = {case_id: path for case_id, path in references.items() if case_id in predicted}
    _require_groups(arguments, patients, references)
    with progress_bar() as progress:
        return score_members(
            members,
            references,
            labels,
            arguments.tolerance_mm,
            lambda done, of: progress("Scores", done, of),
            arguments.metrics,
        )


def _require_groups(arguments: Namespace, patients: Mapping[str, str] | None, cases: Collection[str]) -> None:
    if patients is not None and (missing := sorted(set(cases) - patients.keys())):
        raise SegVarianceError(
            f"{arguments.groups} names no group for {len(missing)} of {len(cases)} cases, the first is {missing[0]!r}. Add them."
        )


def _weights_of(model: Path) -> list[Path]:
    """The weights files that a study, a run folder or a file stands for."""
    if model.is_file():
        return [model]
    if (model / "weights.safetensors").is_file():
        return [model / "weights.safetensors"]
    study = StudyFolder.open(model)
    found = [study.weights(run) for run in study.runs if study.is_done(run)]
    if not found:
        raise SegVarianceError(f"{model} has no finished training yet. Run it with: segvariance run {model}")
    return found


def labels_of(dataset: str | None, label_maps: Sequence[Path]) -> LabelSet:
    """The labels that a dataset declares; without one, a structure for each value found."""
    return discover_labels(label_maps) if dataset is None else open_dataset(Path(dataset)).labels


def _member(folder: Path, configuration: str) -> Member:
    """Named by its folder, or by the one above a folder that is just called predictions; ``..seed_7`` makes it seed 7."""
    folder = folder.absolute()
    name = folder.parent.name if folder.name == "predictions" else folder.name
    found = _SEED_IN_NAME.search(name)
    return Member(configuration, name, int(found[1]) if found else None)
