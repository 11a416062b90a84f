"""What the scores of many seeds say about luck. Needs numpy and scipy, fed by a score table alone."""
