"""SegVariance: is this segmentation better, or was the training run lucky?

Packages, lowest first; each imports only what stands above it in this list:
core, metrics, dataset, plan, ensemble, evaluation, stats, report, review, model, training, prediction, backends, study;
and scene (the MRML layer, slicer and vtk), which imports core to review alone.
core to review never load torch, slicer, qt or pandas; scene never loads qt. ``study/pipeline.py`` names the steps in order: read it first.
"""

__version__ = "0.1.0"
