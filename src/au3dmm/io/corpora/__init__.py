"""Corpora of registered heads: one reader per layout on disk, all returning a `Corpus`."""
