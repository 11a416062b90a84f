"""What a ``dataset.json`` beside predictions says: label names and values, and channels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..core.errors import Problem, SegVarianceError
from ..core.files import read_json
from ..core.labels import LabelSet
from ..dataset.label_declaration import read_labels


class Declared(NamedTuple):
    """``labels`` is None where nothing was declared; ``source`` is the file that did."""

    labels: LabelSet | None
    channels: tuple[str, ...]
    source: Path | None


def declared_in(folders: Iterable[Path], problems: list[Problem]) -> Declared:
    """The first ``dataset.json`` of these folders; one that declares otherwise, or cannot be read, becomes a problem."""
    first = Declared(None, (), None)
    for path in (folder / "dataset.json" for folder in folders):
        if not path.is_file():
            continue
        try:
            found = _declared(path)
        except SegVarianceError as error:
            problems.append(Problem(str(path), str(error), "", fatal=False))
            continue
        if first.labels is None:
            first = found
        elif found.labels != first.labels:
            what = f"it declares other labels than {first.source}."
            problems.append(Problem(str(path), what, "Compare predictions of one labelling only, or mend the file."))
    return first


def _declared(path: Path) -> Declared:
    content = read_json(path)
    if not isinstance(content, dict):
        raise SegVarianceError(f"{path} holds no declarations. Expected an object with labels, as nnU-Net writes it.")
    channels = content.get("channel_names", content.get("modality"))
    names = tuple(map(str, channels.values())) if isinstance(channels, dict) else ()
    return Declared(read_labels(content, str(path)), names, path)
