"""Faces whose expressions are known, seen as landmarks: what the fit is measured against (docs/accuracy.md)."""
