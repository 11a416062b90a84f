"""What a training starts from, and how carefully it moves what it was given."""

from __future__ import annotations

from dataclasses import dataclass

ENCODER, DECODER, ALL = "encoder", "decoder", "all"
PARTS = (ENCODER, DECODER, ALL)

MEAN, TILE = "mean", "tile"
CHANNEL_RULES = (MEAN, TILE)
"""Where the image has another number of channels than the source: every channel gets the mean of the source's, or the source's in
turn; both times channels there over channels here, so that what they give together keeps its size."""

NO_INFLATION, REPEAT, CENTRE = "none", "repeat", "centre"
INFLATIONS = (NO_INFLATION, REPEAT, CENTRE)
"""2-D kernels in a 3-D network: not taken; repeated along the first axis and divided by their number (Carreira and Zisserman 2017,
I3D); or in the middle slice of the kernel, zeros elsewhere."""


@dataclass(frozen=True)
class FineTuning:
    """Weights from elsewhere, which of them are taken, and how they are trained on.

    ``weights`` is the file or bundle, of which ``sha256`` is the digest of the file that holds the weights: other weights are
    another recipe, the same ones at another place are not. Or ``pretraining`` names one of the study itself: seed s starts from
    its seed number s modulo how many it has. ``name_map`` names for tensors of our network those of the source,
    where their names differ. The encoder stands still, batch norm statistics included, for the first ``frozen_share`` of the
    steps. Each stage learns ``rate_decay`` times as fast as the next one nearer to the output (Howard and Ruder 2018, ULMFiT).
    """

    weights: str = ""
    sha256: str = ""
    part: str = ALL
    channels: str = MEAN
    inflation: str = NO_INFLATION
    name_map: dict[str, str] | None = None
    frozen_share: float = 0.0
    rate_decay: float = 1.0
    pretraining: str | None = None

    def __post_init__(self) -> None:
        if bool(self.weights) == bool(self.pretraining):
            raise ValueError(
                f"expected either weights or a pretraining, found {self.weights!r} and {self.pretraining!r}."
            )
        for what, found, known in (
            ("part", self.part, PARTS),
            ("channels", self.channels, CHANNEL_RULES),
            ("inflation", self.inflation, INFLATIONS),
        ):
            if found not in known:
                raise ValueError(f"expected {what} to be one of {', '.join(known)}, found {found!r}.")
        if not 0 <= self.frozen_share <= 1:
            raise ValueError(f"frozen_share is a share of the steps from 0 to 1, found {self.frozen_share}.")
        if not 0 < self.rate_decay <= 1:
            raise ValueError(f"rate_decay lies above 0 and is at most 1, found {self.rate_decay}.")
