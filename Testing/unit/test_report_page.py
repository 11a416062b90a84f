"""The page as a whole: what it says, what it refuses to run, and what a browser makes of it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import MISSED, Score, ScoreTable
from SegVarianceLib.report.content import ReportContent, worst_cases
from SegVarianceLib.report.layout import colours
from SegVarianceLib.report.report import report_html, write_report
from SegVarianceLib.stats.comparison_words import difference_text
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.stats.ensemble_size import ensemble_curves
from SegVarianceLib.stats.seed_study import seed_studies

EVIL = "<script>alert(1)</script>\"'&"


def scores_of(
    seeds: int = 6,
    cases: int = 14,
    structures: tuple[str, ...] = ("anterior", "posterior"),
    configuration: str = "recipe",
    prefix: str = "case_",
) -> list[Score]:
    generator = np.random.default_rng(seeds * cases)
    difficulty = generator.normal(0, 0.04, cases)
    members = [(seed, f"seed_{seed}") for seed in range(seeds)] + [(None, "mean_probability")]
    scores = []
    for seed, member in members:
        own = generator.normal(0, 0.004)
        for case in range(cases):
            for structure in structures:
                value = float(np.clip(0.85 + own + difficulty[case] + generator.normal(0, 0.01), 0, 1))
                for metric, measured in (("dice", value), ("hd95_mm", 10 * (1 - value))):
                    scores.append(
                        Score(configuration, None, seed, member, f"{prefix}{case}", structure, metric, measured)
                    )
    return scores


def content_of(scores: list[Score], **others: object) -> ReportContent:
    table = ScoreTable(tuple(scores))
    facts = (("Data", "phantom"),)
    return ReportContent("A study", facts, table, seed_studies(table), "dice", **others)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Counts elements, and fails on one that is closed out of order."""

    VOID = ("meta",)

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(seen == tag for seen, _ in self.seen)


def test_every_text_from_a_file_arrives_as_text() -> None:
    scores = scores_of(seeds=3, structures=(EVIL, "b"), configuration=EVIL, prefix=EVIL)
    scores.append(Score(EVIL, None, None, EVIL, EVIL + "0", EVIL, "dice", 0.5))
    table = ScoreTable(tuple(scores))
    page = report_html(ReportContent(EVIL, ((EVIL, EVIL),), table, seed_studies(table), "dice"), "report")
    tags = Tags(page)
    assert tags.open == []
    assert tags.count("script") == 1
    assert "<script>alert" not in page
    heat = next(attributes["data-heat"] for tag, attributes in tags.seen if "data-heat" in attributes)
    assert EVIL + "0" in json.loads(heat or "")["cases"]


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    page = report_html(content_of(scores_of()), "report")
    assert not re.search(r"https?://|//cdn|@import|url\(", page)
    policy = next(attributes["content"] for _, attributes in Tags(page).seen if attributes.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_the_findings_come_first_with_the_figures_of_the_study() -> None:
    content = content_of(scores_of())
    study = content.studies.studies[0]
    page = report_html(content, "report")
    assert page.index("What was found") < page.index("What was done") < page.index("<svg")
    assert f"best of 6 seeds (seed {study.best_seed}) beats {100 * study.paired_t.best_beats:.0f}&nbsp;%" in page


def test_tables_lie_beside_the_page_with_the_very_numbers_of_the_study(tmp_path: Path) -> None:
    content = content_of(scores_of())
    write_report(tmp_path / "report.html", content)
    with open(tmp_path / "report_tables" / "seeds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    study = content.studies.studies[0]
    found = [float(row["Mean"]) for row in rows if row["Metric"] == "Dice" and row["Structure"] == "foreground mean"]
    assert found == [seed.mean for seed in study.seeds]
    assert {path.stem for path in (tmp_path / "report_tables").iterdir()} == {
        *("summary", "pairs_of_seeds", "luck", "variance", "ensembles", "seeds", "cases", "members"),
    }


def test_what_was_left_out_is_said_on_top_and_listed(tmp_path: Path) -> None:
    scores = [
        Score(*(*_key(s), None if s.metric == "hd95_mm" else 0.0, MISSED))
        if (s.seed, s.case, s.structure) == (2, "case_3", "anterior")
        else s
        for s in scores_of()
        if not (s.seed == 4 and s.case == "case_5")
    ]
    write_report(tmp_path / "r.html", content_of(scores))
    page = (tmp_path / "r.html").read_text()
    assert "Seeds that lack cases: 4." in page
    listed = (tmp_path / "r_tables" / "left_out.csv").read_text()
    assert "recipe,HD95,case_3,anterior,missed: seed 2\n" in listed
    assert "recipe,Dice,case_5,anterior,no score: seed 4\n" in listed
    assert "recipe,seed_2,anterior,dice,14," in (tmp_path / "r_tables" / "members.csv").read_text()


def _key(score: Score) -> tuple:
    return score.configuration, score.fold, score.seed, score.member, score.case, score.structure, score.metric


def test_scores_without_seeds_still_make_a_page_that_says_why_there_is_no_study() -> None:
    scores = [s for s in scores_of() if s.seed is None]
    page = report_html(content_of(scores), "report")
    assert "No seed study could be made" in page
    assert "0 seed(s) share" in page
    assert 'id="table-members"' in page


def test_a_primary_metric_that_the_scores_lack_is_refused() -> None:
    content = content_of(scores_of())
    with pytest.raises(SegVarianceError, match=r"hold no 'iou'\. They hold: dice, hd95_mm"):
        report_html(ReportContent("t", (), content.scores, content.studies, "iou"), "r")


def test_a_structure_keeps_its_colour_in_every_plot() -> None:
    scores = scores_of() + scores_of(seeds=3, structures=("posterior", "anterior"), configuration="other")
    page = report_html(content_of(scores), "report")
    found = re.findall(r'<h4 class="(s\d|mean)">([^<]+)</h4>', page)
    assert set(found) == {("s0", "anterior"), ("s1", "posterior"), ("mean", "foreground mean")}
    assert colours(("anterior", "posterior"))("posterior") == "s1"


def test_the_worst_cases_are_the_lowest_dice_and_the_largest_distance() -> None:
    scores = [
        Score("c", None, seed, f"seed_{seed}", case, "a", metric, value)
        for seed in (0, 1)
        for case, value in (("good", 0.9), ("bad", 0.2), ("fair", 0.7))
        for metric in ("dice", "hd95_mm")
    ]
    table = ScoreTable((*scores, Score("c", None, 0, "seed_0", "lost", "a", "hd95_mm", None, MISSED)))
    assert worst_cases(table, "dice", 2) == ("bad", "fair")
    assert worst_cases(table, "hd95_mm", 2) == ("good", "fair")


def test_fifty_seeds_of_260_cases_and_three_structures_stay_under_one_and_a_half_megabytes() -> None:
    page = report_html(content_of(scores_of(seeds=50, cases=260, structures=("a", "b", "c"))), "report")
    assert len(page.encode()) < 1_500_000


MEASURE = """<iframe src="report.html" style="width:WIDTHpx;height:900px"></iframe><pre id="found"></pre><script>
addEventListener('load', () => {
  const frame = document.querySelector('iframe'), page = frame.contentDocument, view = frame.contentWindow;
  for (const fold of page.querySelectorAll('details')) fold.open = true;
  const box = element => { const b = element.getBoundingClientRect(); return [b.width, b.height]; };
  const column = () => [...page.querySelectorAll('#table-seeds tbody tr')].map(row => row.cells[4].textContent);
  page.querySelectorAll('#table-seeds button')[4].click();
  const heat = page.querySelector('[data-heat]'), at = heat.getBoundingClientRect();
  const over = new view.PointerEvent('pointermove', {bubbles: true, clientX: at.left + 1, clientY: at.top + 1});
  heat.dispatchEvent(over);
  const tip = page.getElementById('tip').textContent;
  page.querySelector('.verdict g[data-tip] .hit').dispatchEvent(new view.PointerEvent('pointermove', {bubbles: true}));
  document.getElementById('found').textContent = JSON.stringify({
    plots: [...page.querySelectorAll('svg, img')].map(box), sorted: column(), tip, verdict: page.getElementById('tip').textContent,
    overflow: page.documentElement.scrollWidth - view.innerWidth,
  });
});
</script>"""


@pytest.mark.web
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_without_a_network_draws_sorts_and_reads_the_page_without_an_error(
    tmp_path: Path, width: int
) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium found: install chromium to see the report drawn")
    long_name = "a_recipe_whose_name_is_longer_than_a_telephone_is_wide"
    scores = [*scores_of(), *scores_of(seeds=5, configuration="other"), *scores_of(seeds=4, configuration=long_name)]
    compared = compare_recipes(ScoreTable(tuple(scores)), ("recipe", "other", long_name), "dice")
    curves = ensemble_curves(ScoreTable(tuple(scores)), "dice")[0]
    content = content_of(scores, comparisons=compared, ensemble_curves=curves)
    write_report(tmp_path / "report.html", content)
    (tmp_path / "measure.html").write_text(MEASURE.replace("WIDTH", str(width)))
    run = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"),
            *(
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--allow-file-access-from-files",
                f"--user-data-dir={tmp_path / 'profile'}",
            ),
            *(
                "--window-size=1400,1000",
                "--virtual-time-budget=4000",
                "--dump-dom",
                (tmp_path / "measure.html").as_uri(),
            ),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in run.stderr, run.stderr
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', run.stdout, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert len(found["plots"]) > 10
    assert all(min(box) > 0 for box in found["plots"])
    assert found["sorted"] == sorted(found["sorted"], key=float)
    study = content.studies.studies[0]
    hardest = study.cases[int(study.values.mean(axis=0).argmin())]
    assert found["tip"].startswith(f"{hardest}, seed {study.best_seed}: 0.")
    pair = compared.primary[0]
    assert found["verdict"].startswith(f"foreground mean: recipe minus other {difference_text(pair)}, p ")
    assert found["overflow"] <= 0
