"""Tables, plots and the self-contained HTML report. No plotting library, so it also runs inside Slicer."""
