"""Landmark detectors: one protocol, one file per detector."""
