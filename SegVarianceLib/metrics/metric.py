"""The metrics, in the order of their columns. Each is a function of one ``Pair``: one structure of one case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.catalog import Catalog, Facts, Parameter
from ..core.errors import SegVarianceError
from .lesions import LESION_IOU, Lesions
from .overlap import Overlap
from .surface import SurfaceDistances

_LESIONS = f"components with 26 neighbours, matched one to one by IoU of at least {LESION_IOU:g}, largest first; as in panoptica, Kofler et al. 2023, arXiv 2312.02608"
_NIKOLOV = "Nikolov et al. 2021, J Med Internet Res 23(7):e26151; surface elements of 2x2x2 voxels as in google-deepmind/surface-distance"


@dataclass(frozen=True)
class Pair:
    """A structure in the reference and in the prediction; ``distances`` is None where one of them lacks it, ``lesions``
    where no metric asks for them.

    What an absent structure means: absent in both, no metric has a value but the count of false lesions, which is 0; absent
    in one, overlap, surface Dice and lesion F1 are 0, and a distance, or a share of no lesions at all, has no value.
    """

    overlap: Overlap
    distances: SurfaceDistances | None
    lesions: Lesions | None = None

    @property
    def absent_in_both(self) -> bool:
        return not self.overlap.reference and not self.overlap.prediction


Metric = Callable[..., float | None]


def dice(pair: Pair) -> float | None:
    """Twice the shared voxels over the sum of both, 0 to 1."""
    if pair.absent_in_both:
        return None
    return 2 * pair.overlap.both / (pair.overlap.reference + pair.overlap.prediction)


def iou(pair: Pair) -> float | None:
    """Shared voxels over the union, 0 to 1."""
    if pair.absent_in_both:
        return None
    return pair.overlap.both / (pair.overlap.reference + pair.overlap.prediction - pair.overlap.both)


def hd95_mm(pair: Pair) -> float | None:
    """95th percentile of the surface distances in mm, by area, the larger of both directions."""
    return None if pair.distances is None else pair.distances.percentile_mm(95)


def surface_dice(pair: Pair, tolerance_mm: float) -> float | None:
    """Share of both surfaces' area within ``tolerance_mm`` of the other, 0 to 1; a distance equal to it is within."""
    if pair.absent_in_both:
        return None
    return 0.0 if pair.distances is None else pair.distances.share_within(tolerance_mm)


def lesion_f1(pair: Pair) -> float | None:
    """Twice the matched components over those of reference and prediction, 0 to 1."""
    found = _lesions(pair)
    return None if pair.absent_in_both else 2 * found.matched / (found.reference + found.prediction)


def lesion_sensitivity(pair: Pair) -> float | None:
    """Share of the reference's components that are matched, 0 to 1."""
    found = _lesions(pair)
    return found.matched / found.reference if found.reference else None


def lesion_precision(pair: Pair) -> float | None:
    """Share of the prediction's components that are matched, 0 to 1."""
    found = _lesions(pair)
    return found.matched / found.prediction if found.prediction else None


def lesion_false_positives(pair: Pair) -> float:
    """Components of the prediction that match none; their mean over cases is false positives per case."""
    found = _lesions(pair)
    return float(found.prediction - found.matched)


def lesion_iou(pair: Pair) -> float | None:
    """Mean IoU of the matched components, 0 to 1: how well what was found is outlined."""
    found = _lesions(pair)
    return sum(found.matched_iou) / found.matched if found.matched else None


def _lesions(pair: Pair) -> Lesions:
    if pair.lesions is None:
        raise ValueError("a lesion-wise metric needs Pair.lesions")
    return pair.lesions


METRICS: Catalog[Metric] = Catalog(
    "metric",
    ("pair",),
    [
        (Facts("dice", "Dice", "Dice 1945, Ecology 26(3):297-302", best=1.0, worst=0.0), dice),
        (Facts("iou", "IoU", "Jaccard 1912, New Phytologist 11(2):37-50", best=1.0, worst=0.0), iou),
        (Facts("hd95_mm", "HD95", _NIKOLOV, unit="mm", best=0.0, worst=float("inf")), hd95_mm),
        (
            Facts(
                "surface_dice",
                "Surface Dice",
                _NIKOLOV,
                best=1.0,
                worst=0.0,
                parameters=(
                    Parameter("tolerance_mm", "Tolerance", float, 1.0, unit="mm", minimum=0.0, maximum=1000.0),
                ),
            ),
            surface_dice,
        ),
        (Facts("lesion_f1", "Lesion F1", _LESIONS, best=1.0, worst=0.0), lesion_f1),
        (Facts("lesion_sensitivity", "Lesion sensitivity", _LESIONS, best=1.0, worst=0.0), lesion_sensitivity),
        (Facts("lesion_precision", "Lesion precision", _LESIONS, best=1.0, worst=0.0), lesion_precision),
        (
            Facts("lesion_false_positives", "False lesions", _LESIONS, best=0.0, worst=float("inf")),
            lesion_false_positives,
        ),
        (Facts("lesion_iou", "IoU of found lesions", _LESIONS, best=1.0, worst=0.0), lesion_iou),
    ],
)


ON_SURFACES = frozenset({"hd95_mm", "surface_dice"})
"""Metrics that read ``Pair.distances``."""

ON_LESIONS = frozenset(name for name in METRICS.ids if name.startswith("lesion_"))
"""Metrics that read ``Pair.lesions``."""

USUAL_METRICS = tuple(name for name in METRICS.ids if name not in ON_LESIONS)
"""What is scored where nobody asks for anything else. The mean of ``iou`` over structures is what others call mIoU."""


def column_name(id: str, settings: dict[str, float]) -> str:
    """Name of a metric in ``scores.csv``: its id, and its settings in mm, as in ``surface_dice_1mm``."""
    return "_".join([id, *(f"{value:g}mm" for value in settings.values())])


def facts_of_column(column: str) -> Facts:
    """Facts of the metric that a column of ``scores.csv`` holds.

    Raises:
        SegVarianceError: the column belongs to no metric.
    """
    for facts in METRICS:
        if column == facts.id or (facts.parameters and column.startswith(f"{facts.id}_")):
            return facts
    raise SegVarianceError(f"Column {column!r} belongs to no known metric. Known: {', '.join(METRICS.ids)}.")
