"""Dice, HD95 and surface Dice by google-deepmind surface-distance, timed. Started by surface_distance.py, not by hand.

Reads one request a line (JSON: npz file, values, tolerance, repeats), answers one line: CPU seconds, best of the repeats,
and [Dice, HD95, surface Dice] of each value. Needs numpy, scipy and surface-distance alone.
"""

import json
import sys
import time

import numpy as np
import surface_distance as sd


def scores(reference, prediction, values, spacing_mm, tolerance_mm):
    found = []
    for value in values:
        masks = reference == value, prediction == value
        distances = sd.compute_surface_distances(*masks, spacing_mm)
        found.append(
            [
                float(sd.compute_dice_coefficient(*masks)),
                float(sd.compute_robust_hausdorff(distances, 95)),
                float(sd.compute_surface_dice_at_tolerance(distances, tolerance_mm)),
            ]
        )
    return found


for line in sys.stdin:
    request = json.loads(line)
    with np.load(request["pair"]) as pair:
        arguments = (
            pair["reference"],
            pair["prediction"],
            request["values"],
            pair["spacing_mm"],
            request["tolerance_mm"],
        )
    best_s = float("inf")
    for _ in range(request["repeats"]):
        start_s = time.process_time()
        answer = scores(*arguments)
        best_s = min(best_s, time.process_time() - start_s)
    print(json.dumps([best_s, answer]), flush=True)
