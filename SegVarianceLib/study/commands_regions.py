"""The command ``regions``: what regions paint, labels rebuilt from them, and the way from region Dice to label Dice."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import path_inside, read_json
from ..core.labels import LabelSet
from ..dataset.image_io import write_label_map
from ..dataset.label_declaration import read_labels, regions_of_text
from ..dataset.labelling import regions_of
from ..dataset.region_checks import definition_problems, described
from ..ensemble.region_recipe import PAINT, REBUILDS, RegionRecipe
from ..ensemble.regions import Reconstruction
from ..evaluation.region_steps import RegionSteps, mean_steps, region_steps
from ..report.region_plot import cross_table, region_sentences, region_step_table, write_region_plot
from ..report.tables import write_tables
from ..review.description import Review, ReviewMember
from ..review.open_case import OpenCase, read_case
from ..review.opening import open_review
from ..review.regions_of_case import reconstruction_of
from .terminal import out, progress_bar


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folders", nargs="*", help="predictions: several members are taken together, one vote a region")
    parser.add_argument("--regions", default=None, help='such as "whole=1,2,4; core=1,4; enhancing=4"')
    parser.add_argument(
        "--order", default=None, help='what each region paints, such as "2,1,4" (default: the value left to it)'
    )
    parser.add_argument("--dataset", default=None, help="folder or dataset.json that declares the regions")
    parser.add_argument("--references", default=None, help="folder of reference label maps")
    parser.add_argument(
        "--member", action="append", default=[], metavar="NAME", help="only this one (default: all); may be repeated"
    )
    parser.add_argument("--probabilities", action="store_true", help="average kept probabilities instead of voting")
    parser.add_argument(
        "--threshold", action="append", default=[], metavar="REGION=0.4", help="instead of one half; may be repeated"
    )
    parser.add_argument("--rule", default=PAINT, choices=REBUILDS.ids, help="from probabilities, or shares of votes")
    parser.add_argument("--output", default=None, help="folder for label maps, tables, the plot and regions.json")


def regions(arguments: Namespace) -> int:
    """Exit code 0, or 2 where the regions do not paint what they declare."""
    told = _told(arguments)
    if not arguments.folders and told is None:
        raise SegVarianceError("There are no regions. Give folders of predictions, --dataset or --regions.")
    references = None if arguments.references is None else Path(arguments.references)
    review = (
        open_review([Path(each) for each in arguments.folders], None, None, references, told)
        if arguments.folders
        else None
    )
    labels = told if review is None else regions_of(review.labels)
    if labels is None or not labels.has_regions:
        raise SegVarianceError(
            'There are no regions. Say them, such as --regions "whole=1,2,4; core=1,4; enhancing=4".'
        )
    for sentence in described(labels):
        out.print(sentence, markup=False)
    problems = list(definition_problems(labels, "regions"))
    for problem in problems:
        out.print(f"{'problem' if problem.fatal else 'note'}  {problem}", markup=False)
    if any(problem.fatal for problem in problems):
        return 2
    if review is not None:
        review.require_sound()
        _rebuild(review, labels, arguments)
    elif arguments.output is not None:
        recipe = RegionRecipe(labels, arguments.rule).with_thresholds(_thresholds(arguments.threshold, labels))
        _write(Path(arguments.output), recipe, {})
    return 0


def _told(arguments: Namespace) -> LabelSet | None:
    """The regions that the command line says; None where the folders are to say them."""
    if arguments.regions is not None:
        return regions_of_text(arguments.regions, arguments.order)
    if arguments.dataset is None:
        return None
    path = Path(arguments.dataset)
    path = path / "dataset.json" if path.is_dir() else path
    content = read_json(path)
    return read_labels(content if isinstance(content, dict) else {}, str(path))


def _rebuild(review: Review, labels: LabelSet, arguments: Namespace) -> None:
    thresholds = _thresholds(arguments.threshold, labels)
    found: dict[str, RegionSteps] = {}
    with progress_bar() as progress:
        for done, case in enumerate(review.cases):
            progress("Rebuilding labels", done, len(review.cases))
            chosen = _members(review, case.id, arguments.member)
            if not chosen:
                continue
            opened = read_case(review, case.id, chosen)
            rebuilt = reconstruction_of(opened, labels, probabilities=arguments.probabilities)
            for name, threshold in thresholds.items():
                rebuilt.set_threshold(name, threshold)
            rebuilt = _by_rule(case.id, rebuilt, arguments.rule)
            _tell(case.id, opened, rebuilt, arguments.probabilities)
            if opened.reference is not None:
                found[case.id] = region_steps(rebuilt)
            if arguments.output is not None:
                path = path_inside(Path(arguments.output), f"{case.id}.nii.gz", "case id")
                write_label_map(
                    path, rebuilt.label_map, opened.geometry, like=next(iter(opened.members)).files[case.id]
                )
    if found:
        out.print("From region Dice to label Dice" + (f", means of {len(found)} cases:" if len(found) > 1 else ":"))
        for sentence in region_sentences(mean_steps(list(found.values()))):
            out.print(f"  - {sentence}", markup=False)
    if arguments.output is not None:
        _write(Path(arguments.output), RegionRecipe(labels, arguments.rule).with_thresholds(thresholds), found)


def _members(review: Review, case_id: str, names: list[str]) -> tuple[ReviewMember, ...]:
    """Those that have the case, of the members and ensembles that are named; all members where none is."""
    if not names:
        return review.members_of(case_id)
    every = {each.key: each for each in (*review.members, *review.ensembles)}
    by_name = {**{each.name: each for each in every.values()}, **every}
    if unknown := [name for name in names if name not in by_name]:
        raise SegVarianceError(f"There is no member {unknown[0]!r}. There are: {', '.join(every)}.")
    return tuple(by_name[name] for name in names if case_id in by_name[name].files)


def _by_rule(case_id: str, rebuilt: Reconstruction, rule: str) -> Reconstruction:
    """The reconstruction by an id of ``REBUILDS``; says what nesting the probabilities changed."""
    if rule == "nested":
        nested, changed = rebuilt.nested()
        out.print(f"{case_id}: probabilities of {changed} voxels lowered to those of the region around", markup=False)
        return nested
    if rule == "label_probability":
        return Reconstruction.of_label_map(
            rebuilt.largest_label(), rebuilt.labels, rebuilt.voxel_volume_mm3, rebuilt.reference
        )
    return rebuilt


def _tell(case_id: str, opened: OpenCase, rebuilt: Reconstruction, probabilities: bool) -> None:
    members = len(opened.members)
    source = "mean probability" if probabilities else "vote by region" if members > 1 else "label map"
    volumes = ", ".join(f"label {value} {volume:.3f} ml" for value, volume in rebuilt.volumes_ml().items())
    orphans = ", ".join(f"{name} {volume:.3f} ml" for name, volume in rebuilt.orphans_ml.items() if volume)
    out.print(f"{case_id}: {source} of {members}: {volumes}; orphans: {orphans or 'none'}", markup=False)


def _write(folder: Path, recipe: RegionRecipe, found: Mapping[str, RegionSteps]) -> None:
    recipe.write(folder / "regions.json")
    if found:
        mean = mean_steps(list(found.values()))
        shown = {**found, f"mean of {len(found)} cases": mean} if len(found) > 1 else found
        write_tables(folder, [region_step_table(shown), cross_table(shown)])
        write_region_plot(folder / "region_steps.svg", mean)
    out.print(f"Written: {folder}", markup=False)


def _thresholds(given: list[str], labels: LabelSet) -> dict[str, float]:
    names = [structure.name for structure in labels.structures]
    thresholds: dict[str, float] = {}
    for each in given:
        name, equals, number = each.rpartition("=")
        try:
            thresholds[name] = float(number)
        except ValueError:
            equals = ""
        if not equals or name not in names or not 0 <= thresholds[name] <= 1:
            raise SegVarianceError(
                f"--threshold {each!r} is not understood. Expected REGION=0.4, from 0 to 1, with one of {', '.join(names)}."
            )
    return thresholds
