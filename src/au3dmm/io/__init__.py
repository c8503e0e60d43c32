"""Bytes on one side, our arrays and units on the other."""
