"""What Ensemble and clean shows. Plain values: no Qt, no nodes, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from .state_clean_up import CleanUpState
from .state_review import Choice, IntoStudyState, Layer
from .state_rules import RulesState


@dataclass(frozen=True)
class StructureVolume:
    name: str
    volume_ml: float


@dataclass(frozen=True)
class EnsembleState:
    """The result of the ticked members by a rule, how it came about, and what can be done with it.

    ``weights`` (one a member) are empty unless the rule has weights; ``weights_in_words`` say where they are from. While files
    of probabilities are read, ``busy`` says so and ``progress`` is the share that is done.
    """

    rules: tuple[Choice, ...] = ()
    rule: str = ""
    rule_in_words: str = ""
    members: tuple[Layer, ...] = ()
    weights: tuple[float, ...] = ()
    weights_in_words: str = ""
    result: str = ""
    volumes: tuple[StructureVolume, ...] = ()
    difference: str = ""
    busy: str = ""
    progress: float | None = None
    beside: RulesState = field(default_factory=RulesState)
    clean: CleanUpState = field(default_factory=CleanUpState)
    kept: str = ""
    can_apply: bool = False
    study: IntoStudyState = field(default_factory=IntoStudyState)
    problem: str = ""
