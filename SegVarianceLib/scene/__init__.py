"""What a study looks like in an MRML scene. Needs slicer and vtk, never Qt: runs in 3D Slicer and on the slicer-core wheel."""
