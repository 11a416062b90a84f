"""SegVariance: is this segmentation better, or was the training run lucky?

Packages, lowest first; each imports only what stands above it in this list:
core, metrics, dataset, plan, ensemble, evaluation, stats, report, model, training, prediction, backends, study.
core to report never load torch, slicer, qt or pandas. ``study/pipeline.py`` names the steps in order: read it first.
"""

__version__ = "0.1.0"
