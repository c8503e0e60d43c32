"""How well a trained model does: metrics, their uncertainty over subjects, tables."""
