"""What is to be trained, and where a study keeps its files."""
