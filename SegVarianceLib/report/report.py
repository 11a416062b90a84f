"""The report: one HTML file that needs nothing else, and its tables as CSV beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import write_text
from ..core.words import counted
from ..stats.seed_study import SeedStudy
from .adaptation_section import adaptation_section, adaptation_tables
from .comparison_sections import comparison_findings, comparison_plots
from .comparison_tables import comparison_tables
from .content import ReportContent
from .failure_section import failure_section, failure_table
from .layout import ColourOf, colours, fold
from .markup import Markup, element, joined
from .pictures import case_pictures
from .plots import caterpillar_scale
from .script import SCRIPT
from .sections import headline
from .seed_sections import plot_sections
from .study_tables import study_tables
from .style import STYLE
from .tables import Table, table_html, write_tables
from .transfer_section import transfer_section, transfer_tables


def write_report(path: Path, content: ReportContent) -> None:
    """Write ``path`` and the folder ``<stem>_tables`` beside it.

    Raises:
        SegVarianceError: the scores lack the primary metric, or a picture's files cannot be read or do not fit.
    """
    path = Path(path)
    page = report_html(content, path.stem)
    write_tables(path.parent / f"{path.stem}_tables", _tables(content))
    write_text(path, page)


def report_html(content: ReportContent, stem: str) -> str:
    """The page as text; ``stem`` is the file's name, to say where the tables lie."""
    if content.primary_metric not in content.scores.unique("metric"):
        raise SegVarianceError(
            f"The scores hold no {content.primary_metric!r}. They hold: {', '.join(content.scores.unique('metric'))}."
        )
    colour_of = colours(content.scores.unique("structure"))
    primary = [study for study in content.studies.studies if study.metric.id == content.primary_metric]
    configurations = [
        [study for study in primary if study.configuration == name]
        for name in dict.fromkeys(study.configuration for study in primary)
    ]
    body = joined(
        element(
            "header",
            element("h1", content.title),
            element("p", "How much of these results is the recipe, and how much the luck of one training?"),
        ),
        element(
            "main",
            transfer_section(content.transfer),
            adaptation_section(content.adaptation),
            element("h2", "What was found"),
            *_compared(content, colour_of),
            *_found(configurations, content.studies.not_studied),
            *_done(content.what_was_done),
            *([] if content.comparisons is None else [comparison_plots(content.comparisons, colour_of)]),
            *_plots(content, configurations, colour_of),
            *_pictures(content, colour_of),
            element("h2", "Tables"),
            element(
                "p", f"Click a column's head to sort. The same rows lie in the folder {stem}_tables.", class_="note"
            ),
            *map(table_html, _tables(content)),
        ),
        element("footer", "Made by SegVariance. This page holds everything it shows and loads nothing."),
        element("div", id="tip", role="tooltip", hidden=""),
    )
    return _page(content.title, body)


def _tables(content: ReportContent) -> tuple[Table, ...]:
    compared = comparison_tables(content.comparisons, content.ensemble_curves)
    of_seeds = study_tables(content.scores, content.studies.studies, content.primary_metric)
    predicted = failure_table(content.failure_predictions)
    transfer = transfer_tables(content.transfer) if content.transfer else ()
    adapted = adaptation_tables(content.adaptation) if content.adaptation else ()
    return tuple(table for table in (*transfer, *adapted, *compared, *of_seeds, predicted) if table.rows)


def _compared(content: ReportContent, colour_of: ColourOf) -> list[Markup]:
    if content.comparisons is None:
        return []
    return [
        comparison_findings(content.comparisons, colour_of),
        element("h2", "What the seeds of each recipe show"),
    ]


def _found(configurations: Sequence[Sequence[SeedStudy]], not_studied: Sequence[str]) -> list[Markup]:
    parts = []
    for studies in configurations:
        if len(configurations) > 1:
            parts.append(element("h3", studies[0].configuration))
        parts.append(headline(studies))
    if not configurations:
        parts.append(
            element("p", "No seed study could be made: see below why. Tables hold all scores.", class_="warning")
        )
    if not_studied:
        reasons = element("ul", *(element("li", sentence) for sentence in not_studied))
        parts.append(fold(f"Not studied ({len(not_studied)})", reasons))
    return parts


def _done(facts: Sequence[tuple[str, str]]) -> list[Markup]:
    if not facts:
        return []
    rows = (joined(element("dt", label), element("dd", text)) for label, text in facts)
    return [element("h2", "What was done"), element("dl", *rows)]


def _plots(content: ReportContent, configurations: Sequence[Sequence[SeedStudy]], colour_of: ColourOf) -> list[Markup]:
    of_structure: dict[str, list[SeedStudy]] = {}
    for study in (study for studies in configurations for study in studies):
        of_structure.setdefault(study.structure, []).append(study)
    scales = {structure: caterpillar_scale(studies) for structure, studies in of_structure.items()}
    pairs = content.comparisons.primary if content.comparisons else ()
    compared = {side.name for pair in pairs for side in (pair.a, pair.b)}
    parts = []
    for studies in configurations:
        first = studies[0]
        title = f"Seeds of {first.configuration}" if len(configurations) > 1 else "Seeds"
        curves = [curve for curve in content.ensemble_curves if curve.configuration == first.configuration]
        parts += [
            element(
                "h2", f"{title}: {first.metric.title}, {counted(len(first.seeds), 'seed')}, {len(first.cases)} cases"
            ),
            plot_sections(studies, curves, scales, colour_of, first.configuration in compared),
            failure_section(
                [p for p in content.failure_predictions if p.configuration == first.configuration], colour_of
            ),
        ]
    return parts


def _pictures(content: ReportContent, colour_of: ColourOf) -> list[Markup]:
    if not content.pictures:
        return []
    if content.labels is None:
        raise SegVarianceError("Pictures need the meaning of label values. Give the dataset's labels with them.")
    legend = "White: reference. Colour: prediction, in the structure's colour. Letters: patient's right, left, front (A), back (P), head (S), feet (I)."
    pictures = [case_pictures(files, content.labels, colour_of) for files in content.pictures]
    return [element("h2", "Worst cases"), element("p", legend, class_="read"), *pictures]


def _page(title: str, body: Markup) -> str:
    """The document, under a policy by which a browser runs only this script and loads nothing."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    script = element("script", Markup(SCRIPT))
    return f"<!DOCTYPE html>\n{element('html', element('head', head), element('body', body, script), lang='en')}\n"
