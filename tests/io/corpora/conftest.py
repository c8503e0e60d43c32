"""Fixtures of the corpora's tests."""

import pytest

from corpora_trees import write_files


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """520 mesh files, five blocks: their folder, frames and paths."""
    root = tmp_path_factory.mktemp("many")
    return root, *write_files(root, 520)
