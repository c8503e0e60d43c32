from hypothesis import given
from hypothesis import strategies as st

from au3dmm.io.corpora.action_units import parse_action_units

ANYTHING = st.text() | st.text(alphabet="AULRaulr0123456789+_-() ,.lefright")
UNIT = st.tuples(st.integers(1, 99), st.sampled_from(["", "_left", "_right"]))


@given(ANYTHING)
def test_any_text_gives_known_spellings_in_order_each_once(text):
    found = parse_action_units(text)
    assert len(set(found)) == len(found)
    keys = [(int(unit.removeprefix("AU").split("_")[0]), unit) for unit in found]
    assert keys == sorted(keys)
    assert all(unit.partition("_")[2] in ("", "left", "right") for unit in found)


@given(st.lists(UNIT, unique=True), st.sampled_from(["+", " + ", ",", " ", "_", "-"]))
def test_what_was_parsed_parses_to_itself(units, joint):
    spelt = tuple(f"AU{number}{side}" for number, side in sorted(units))
    assert parse_action_units(joint.join(spelt)) == spelt
    assert parse_action_units(joint.join(reversed(spelt))) == spelt


@given(st.lists(st.integers(1, 99), unique=True, min_size=1), st.sampled_from("abcdeABCDE"))
def test_numbers_joined_by_plus_are_read_with_and_without_intensities(numbers, letter):
    expected = tuple(f"AU{number}" for number in sorted(numbers))
    assert parse_action_units("+".join(map(str, numbers))) == expected
    assert parse_action_units("+".join(f"{number}{letter}" for number in numbers)) == expected
