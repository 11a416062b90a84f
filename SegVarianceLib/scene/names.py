"""What nodes are called: ``<case> · <configuration> · seed 07 · fold 2``."""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = " · "


@dataclass(frozen=True)
class Member:
    """One prediction of a case: a training, known by seed and fold, or a model of somebody else, known by its name."""

    configuration: str
    seed: int | None = None
    fold: int | None = None

    @property
    def title(self) -> str:
        """``default · seed 07 · fold 2``; what is not known is left out."""
        parts = [self.configuration]
        if self.seed is not None:
            parts.append(f"seed {self.seed:02d}")
        if self.fold is not None:
            parts.append(f"fold {self.fold}")
        return SEPARATOR.join(parts)


def node_name(case: str, title: str) -> str:
    """Name of the node that shows ``title`` (a member, ``reference``, an ensemble or a map) of a case."""
    return f"{case}{SEPARATOR}{title}"
