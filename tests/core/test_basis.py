"""A basis that no later step could work with is refused where it is made."""

from dataclasses import replace

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from planted import small_bases


@pytest.mark.parametrize("which", ["id", "au"])
def test_a_basis_without_components_is_refused(which):
    bases = small_bases()
    none = {f"components_{which}": np.zeros((0, len(bases.template), 3)), f"stddev_{which}": np.zeros(0)}
    if which == "au":
        none["names_au"] = ()
    with pytest.raises(SchemaError, match=f"basis: components_{which} has no components, expected at least one"):
        replace(bases, **none)


def test_one_component_is_enough():
    bases = small_bases(k_id=1, k_au=1)
    assert (bases.k_id, bases.k_au) == (1, 1)
