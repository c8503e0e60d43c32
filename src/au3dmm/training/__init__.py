"""Training: clips of labels and frames, losses, one loop for every network."""
