"""From checkpoints to label maps on the input's grid."""
