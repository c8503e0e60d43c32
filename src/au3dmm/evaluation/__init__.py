"""How well a trained model does: metrics, their uncertainty over subjects, tables."""

THRESHOLD = 0.5
"""From this probability on an action unit counts as said: what MDHR and others do on BP4D and DISFA."""
