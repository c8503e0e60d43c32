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


@pytest.mark.parametrize("which", ["id", "au"])
@pytest.mark.parametrize("factor", [1000.0, 1e-3, -1000.0])
def test_components_in_another_unit_are_refused(which, factor):
    bases = small_bases()
    wrong = {f"components_{which}": factor * getattr(bases, f"components_{which}")}
    with pytest.raises(
        SchemaError, match=rf"components_{which} moves a vertex by .* expected 1e-05 to 0.15: .* metres"
    ):
        replace(bases, **wrong)


def test_a_template_in_millimetres_is_refused():
    bases = small_bases()
    with pytest.raises(SchemaError, match=r"outer eye corners of the template are .* apart, expected 0\.03 to 0\.3"):
        replace(bases, template=1000 * bases.template)


def test_a_flipped_sign_cannot_be_told_from_the_basis_alone():
    bases = small_bases()
    flipped = replace(bases, components_au=-bases.components_au)
    assert flipped.k_au == bases.k_au
