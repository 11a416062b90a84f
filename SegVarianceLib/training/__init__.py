"""Patches, augmentation, losses and the loop that trains one run."""
