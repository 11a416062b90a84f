"""The report: one HTML file that needs nothing else, and its tables as CSV beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import write_text
from ..stats.seed_study import SeedStudy
from .content import ReportContent
from .markup import Markup, element, joined
from .pictures import case_pictures
from .script import SCRIPT
from .sections import ColourOf, colours, headline, plot_sections
from .study_tables import study_tables
from .style import STYLE
from .tables import table_html, write_tables


def write_report(path: Path, content: ReportContent) -> None:
    """Write ``path`` and the folder ``<stem>_tables`` beside it.

    Raises:
        SegVarianceError: the scores lack the primary metric, or a picture's files cannot be read or do not fit.
    """
    path = Path(path)
    tables = study_tables(content.scores, content.studies.studies, content.primary_metric)
    page = report_html(content, path.stem)
    write_tables(path.parent / f"{path.stem}_tables", tables)
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
            element("h2", "What was found"),
            *_found(configurations, content.studies.not_studied),
            *_done(content.what_was_done),
            *_plots(configurations, colour_of),
            *_pictures(content, colour_of),
            element("h2", "Tables"),
            element(
                "p", f"Click a column's head to sort. The same rows lie in the folder {stem}_tables.", class_="note"
            ),
            *map(table_html, study_tables(content.scores, content.studies.studies, content.primary_metric)),
        ),
        element("footer", "Made by SegVariance. This page holds everything it shows and loads nothing."),
        element("div", id="tip", role="tooltip", hidden=""),
    )
    return _page(content.title, body)


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
        parts.append(element("details", element("summary", f"Not studied ({len(not_studied)})"), reasons))
    return parts


def _done(facts: Sequence[tuple[str, str]]) -> list[Markup]:
    if not facts:
        return []
    rows = (joined(element("dt", label), element("dd", text)) for label, text in facts)
    return [element("h2", "What was done"), element("dl", *rows)]


def _plots(configurations: Sequence[Sequence[SeedStudy]], colour_of: ColourOf) -> list[Markup]:
    parts = []
    for studies in configurations:
        title = f"Seeds of {studies[0].configuration}" if len(configurations) > 1 else "Seeds"
        parts += [
            element(
                "h2",
                f"{title}: {studies[0].metric.title}, {len(studies[0].seeds)} seeds, {len(studies[0].cases)} cases",
            ),
            plot_sections(studies, colour_of),
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
