"""The composition root. Read pipeline.py first."""
