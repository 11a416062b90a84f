"""The command ``ensemble``: folders of predictions to one, by a rule or as a recipe says."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import SegVarianceError
from ..core.files import write_json
from ..core.geometry import Geometry
from ..core.labels import LabelSet
from ..core.words import counted
from ..dataset.dataset_json import open_dataset
from ..dataset.image_io import images_in
from ..ensemble.clean_up import apply_steps
from ..ensemble.ensemble_recipe import EnsembleRecipe, RecipeMember
from ..ensemble.folders import ensemble_folders
from ..ensemble.rules import RULES
from ..review.declared import declared_in
from ..review.patterns import number_in
from .terminal import out, progress_bar

_RULE = "majority"


def add_options(ensemble: ArgumentParser) -> None:
    """The options of ``ensemble`` that no other command has."""
    ensemble.add_argument("folders", nargs="+", help="one folder of predictions a member, the same cases in each")
    ensemble.add_argument("--output", required=True, help="folder for the combined label maps and ensemble.json")
    ensemble.add_argument(
        "--rule",
        default=None,
        choices=RULES.ids,
        help=f"those of probabilities and logits read probability files (default: {_RULE})",
    )
    ensemble.add_argument(
        "--weights", type=float, nargs="+", default=None, help="for weighted_mean_probability: one for each folder"
    )
    ensemble.add_argument(
        "--recipe",
        default=None,
        help="ensemble_recipe.json of best: its rule, weights and clean-up, a folder for each member in its order",
    )


def ensemble(arguments: Namespace) -> int:
    """Combine folders by one rule; ``ensemble.json`` beside the label maps says by which and with what weights."""
    recipe = None if arguments.recipe is None else _recipe(arguments)
    rule_id, weights = (arguments.rule or _RULE, arguments.weights) if recipe is None else (recipe.rule, recipe.weights)
    members = [images_in(Path(folder)) for folder in arguments.folders]
    rule, facts = RULES.function(rule_id), RULES.facts(rule_id)
    if rule.weighted != (weights is not None):
        raise SegVarianceError(
            "weighted_mean_probability needs --weights, one for each folder; the other rules take none."
        )
    label_maps = [path for files in members for path in files.values()]
    labels = _labels(arguments, rule_id, label_maps)
    clean_up = None if recipe is None else recipe.clean_up
    if clean_up is not None:
        clean_up.require_same_labels(labels)

    def clean(label_map: np.ndarray, geometry: Geometry) -> np.ndarray:
        if clean_up is None:
            return label_map
        return apply_steps(clean_up.steps, label_map, clean_up.labels, geometry.voxel_volume_mm3).label_map

    output = Path(arguments.output)
    with progress_bar() as progress:
        written = ensemble_folders(
            rule_id,
            members,
            labels,
            output,
            _label_map_ending(members[0]),
            lambda done, of: progress("Ensemble", done, of),
            weights,
            clean,
        )
    made = {"rule": facts.id, "description": facts.citation, "members": arguments.folders, "weights": weights}
    if recipe is not None:
        made |= {"recipe": recipe.name, "recipe_digest": recipe.digest}
    write_json(output / "ensemble.json", made)
    out.print(
        f"{counted(len(written), 'case')}, {facts.title.lower()} of {counted(len(members), 'member')}"
        f"{', cleaned' if clean_up is not None else ''}: {output}",
        markup=False,
    )
    return 0


def _recipe(arguments: Namespace) -> EnsembleRecipe:
    """Raises SegVarianceError where the folders are not one for each of its members, or their names say another seed or fold."""
    if arguments.rule is not None or arguments.weights is not None:
        raise SegVarianceError("--recipe says rule and weights. Leave out --rule and --weights, or the recipe.")
    recipe = EnsembleRecipe.read(Path(arguments.recipe))
    if len(arguments.folders) != len(recipe.members):
        members = "; ".join(_in_words(recipe, member) for member in recipe.members)
        raise SegVarianceError(
            f"The recipe combines {counted(len(recipe.members), 'member')}, given {counted(len(arguments.folders), 'folder')}. "
            f"Give the predictions of each in this order: {members}."
        )
    for folder, member in zip(arguments.folders, recipe.members, strict=True):
        for what, wanted in (("seed", member.seed), ("fold", member.fold)):
            if (named := number_in(str(folder), what)) not in (None, wanted):
                raise SegVarianceError(
                    f"{folder} is of {what} {named} by its name; the recipe has {_in_words(recipe, member)} there. Mend the order."
                )
    return recipe


def _in_words(recipe: EnsembleRecipe, member: RecipeMember) -> str:
    return f"{recipe.studies[member.study]}, {member.configuration}, fold {member.fold}, seed {member.seed}"


def _labels(arguments: Namespace, rule_id: str, label_maps: Sequence[Path]) -> LabelSet:
    """What --dataset or a dataset.json beside the predictions declares; without any, a structure for each value found."""
    if arguments.dataset is not None:
        return open_dataset(Path(arguments.dataset)).labels
    declared = declared_in(map(Path, arguments.folders), []).labels
    if declared is not None:
        return declared
    if RULES.function(rule_id).reads == "probabilities":
        raise SegVarianceError(
            f"{rule_id} reads probability files and needs --dataset, whose dataset.json says which value each class has."
        )
    from ..evaluation.evaluate import discover_labels

    return discover_labels(label_maps)


def _label_map_ending(files: dict[str, Path]) -> str:
    """Label maps are written in the members' own format; from probabilities, which are NRRD, as NRRD."""
    first = next(iter(files.values()), Path("none.nii.gz")).name
    return next((ending for ending in (".nii.gz", ".nii", ".mha") if first.endswith(ending)), ".nrrd")
