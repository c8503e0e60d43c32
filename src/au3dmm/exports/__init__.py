"""Labels of a whole dataset in forms that other programs read."""
