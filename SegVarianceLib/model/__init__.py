"""The network, what goes in, how windows slide, what a checkpoint holds. Needs torch."""
