"""Predictions against references: from label maps to ``scores.csv``, the single bridge to statistics."""
