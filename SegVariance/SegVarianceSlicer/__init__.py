"""The Slicer side of SegVariance: what panels show (state), what happens (presenters), and the panels themselves."""
