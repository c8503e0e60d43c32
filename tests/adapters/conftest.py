"""Layouts as `au3dmm init --layout` reads them."""

import pytest

from au3dmm.adapters import LeftOut, Options, adapter_for


@pytest.fixture
def find():
    """Return the proposals of a layout by session id, and what was left out by path."""

    def call(layout, source, **options):
        found = list(adapter_for(layout)(source, Options(**options)))
        left = {one.path: one.why for one in found if isinstance(one, LeftOut)}
        return {one.session_id: one for one in found if not isinstance(one, LeftOut)}, left

    return call
