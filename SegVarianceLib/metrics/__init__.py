"""Numbers for one prediction against one reference, from arrays. Needs numpy and scipy."""
