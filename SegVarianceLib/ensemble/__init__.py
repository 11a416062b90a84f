"""Many members to one label map, and its clean-up."""
