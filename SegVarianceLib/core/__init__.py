"""Words that every other package speaks: geometry, labels, catalog, seeds, events, errors, files. Needs numpy only."""
