"""The events of a study on a terminal: runs, time left and the Dice so far."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STAGES = {
    "train": "Train",
    "ensemble": "Ensemble",
    "clean": "Clean up",
    "score": "Score",
    "compare": "Compare",
    "report": "Report",
}
_SHOWN_RUNS = 12


def duration_text(seconds: float) -> str:
    """For people: 42 s, 3 min 10 s, 2 h 05 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ProgressDisplay:
    """A listener of ``pipeline.run_study``; a context manager for the time that it draws."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=not console.is_terminal)
        self._runs: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._total, self._done, self._time_left_s = 0, 0, None
        self._stage, self._doing = "", ""

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "study_started":
            self._total, self._done = event["runs"], event["done"]
        elif kind == "stage":
            self._stage, self._doing = STAGES[event["stage"]], ""
            self._say_plainly(self._stage)
        elif kind == "progress":
            self._doing = f"{event['what']} {event['done']} of {event['of']}"
        elif "seed" in event:
            self._run_event(event)
        if self._console.is_terminal:
            self._live.update(self._picture())

    def _run_event(self, event: dict[str, Any]) -> None:
        run = self._runs.setdefault(
            (event["configuration"], event["fold"], event["seed"]), {"said": "starting", "share": 0.0}
        )
        kind = event["kind"]
        if kind == "step":
            run |= {
                "share": event["step"] / event["steps"],
                "said": f"training, {duration_text(event['time_left_s'])} left",
            }
            run["training_dice"] = event.get("dice")
        elif kind == "predicted":
            run |= {"share": 1.0, "said": f"predicting {event['done']} of {event['of']}", "dice": event["dice"]}
        elif kind in ("run_message", "run_refused"):
            run["said"] = event["message"]
        elif kind == "run_finished":
            self._done += 1
            run["said"] = "done"
            dice = "" if run.get("dice") is None else f", held-out Dice {run['dice']:.3f}"
            self._say_plainly(f"{self._done} of {self._total} trainings done: {_name(event)}{dice}")
        elif kind in ("run_failed", "run_stopped"):
            run["said"] = kind.removeprefix("run_")
            self._say_plainly(f"{_name(event)} {run['said']} {event.get('message', '')}")
        self._time_left_s = event.get("study_time_left_s", self._time_left_s)

    def _say_plainly(self, line: str) -> None:
        """Without a terminal, a line for each thing that matters instead of a moving picture."""
        if not self._console.is_terminal:
            self._console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)

    def _picture(self) -> Group:
        head = Text(f"{self._stage}  ", style="bold")
        head.append(f"{self._done} of {self._total} trainings done", style="default")
        if self._time_left_s is not None and self._done < self._total:
            head.append(f", about {duration_text(self._time_left_s)} of training left")
        head.append(f"  {self._doing}", style="dim")
        table = Table(box=None, pad_edge=False)
        for column in ("Training", "", "Now", "Dice on training patches", "Dice held out"):
            table.add_column(column, header_style="dim", no_wrap=True)
        for (configuration, fold, seed), run in list(self._runs.items())[-_SHOWN_RUNS:]:
            table.add_row(
                f"{configuration} · fold {fold} · seed {seed}",
                ProgressBar(1.0, run["share"], width=24),
                run["said"],
                _figure(run.get("training_dice")),
                _figure(run.get("dice")),
            )
        return Group(head, table)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _name(event: dict[str, Any]) -> str:
    return f"{event['configuration']} · fold {event['fold']} · seed {event['seed']}"
