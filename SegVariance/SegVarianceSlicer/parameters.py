"""What survives in a saved scene: which folders were open, at which case, and who votes by which rule."""

from __future__ import annotations

from typing import Any, NamedTuple

from .presenter_ensemble import EnsemblePresenter
from .presenter_open import OpenPresenter
from .presenter_review import ReviewSession


class ReviewPresenters(NamedTuple):
    session: ReviewSession
    open: OpenPresenter
    ensemble: EnsemblePresenter


def remember(node: Any, presenters: ReviewPresenters) -> None:
    """Write what is open into the parameter node; where nothing is, what it holds stays."""
    session, _, ensemble = presenters
    if session.review is None or session.opened is None:
        return
    request = session.review.request
    node.folders = [str(path) for path in request.paths]
    node.pattern = request.pattern or ""
    node.images = str(request.images or "")
    node.references = str(request.references or "")
    node.caseId = session.opened.case.id
    node.rule = ensemble.state.rule
    node.members = [member.key for member in ensemble.state.members if member.ticked]


def recall(node: Any, presenters: ReviewPresenters) -> None:
    """Look into the folders of a saved scene, where nothing is open; the user opens them, as always."""
    session, opening, ensemble = presenters
    if session.review is None and node.folders:
        ensemble.prefer(node.rule, frozenset(node.members))
        opening.look_into(tuple(node.folders), node.pattern, node.images, node.references, node.caseId)
