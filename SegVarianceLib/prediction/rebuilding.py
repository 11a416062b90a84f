"""Labels rebuilt from what a model predicts as a regions.json says, instead of by painting at one half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.arrays import dequantise_probabilities, slabs
from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND
from ..ensemble.region_recipe import RegionRecipe
from ..ensemble.region_rules import region_probabilities
from ..model.trained import TrainedFacts


def rebuilding(path: Path, facts: TrainedFacts) -> Callable[[np.ndarray], np.ndarray]:
    """A label map [z, y, x] from the model's 8-bit probabilities [c, z, y, x], as the recipe in ``path`` says.

    A model that was trained on labels gives the regions' probabilities as sums of its labels'.

    Raises:
        SegVarianceError: the file is no recipe, or its regions are not those of the model, nor made of the model's labels.
    """
    recipe = RegionRecipe.read(path)
    wanted = tuple(region.name for region in recipe.labels.structures)
    if not facts.exclusive:
        if facts.class_names != wanted:
            raise SegVarianceError(
                f"{path} rebuilds labels from the regions {', '.join(wanted)}, but the model was trained on "
                f"{', '.join(facts.class_names)}. Give the regions of this model, in this order."
            )
        return recipe.rebuild
    values = tuple(value for value in facts.class_values if value != BACKGROUND)
    if lacking := sorted(set(recipe.labels.foreground_values) - set(values)):
        raise SegVarianceError(
            f"{path} has regions of the label values {lacking}, but the model was trained on the labels "
            f"{', '.join(map(str, values))}. Give regions that are made of these."
        )

    def rebuilt(probabilities: np.ndarray) -> np.ndarray:
        label_map = np.empty(probabilities.shape[1:], np.min_scalar_type(max(recipe.labels.known_values)))
        for slab in slabs(label_map.shape):  # fractions of a whole volume are four times what is held
            fractions = dequantise_probabilities(probabilities[:, slab])
            label_map[slab] = recipe.rebuild(region_probabilities(fractions, values, recipe.labels))
        return label_map

    return rebuilt
