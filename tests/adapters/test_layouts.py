import hashlib

import pytest

from adapter_trees import (
    bases_beside,
    facemorphic_clip,
    plain_landmarks,
    write_bp4d,
    write_disfa,
    write_dsec,
    write_m3ed,
    write_nefer,
    write_pairs,
)
from au3dmm import label_session
from au3dmm.adapters import LAYOUTS, Options, adapter_for, write_dataset
from au3dmm.adapters.looking import looked_into
from au3dmm.adapters.proposal import Proposal
from au3dmm.cli.init_dataset import _LAYOUTS
from au3dmm.errors import ConfigError
from au3dmm.io.dataset import find_sessions, read_dataset
from small_recording import N

PAIRS = {"rgb": "video/{subject}/{session}_rgb.mp4", "events": "events/{subject}/{session}.raw"}
# what makes a tree, its options, and the clock
TREES = {
    "pairs": (lambda root: write_pairs(root, (("S1", "smile"),)), PAIRS, "trigger"),
    "images": (lambda root: facemorphic_clip(root / "S1"), {"sync": "start"}, "start"),
    "facemorphic": (lambda root: facemorphic_clip(root / "u" / "AU_12"), {}, "start"),
    "nefer": (lambda root: write_nefer(root, clips=(("Fear", "None"),)), {"fps": 30.0, "sync": "start"}, "start"),
    "dsec": (write_dsec, {}, "shared"),
    "m3ed": (lambda root: write_m3ed(root / "a_data.h5"), {}, "shared"),
    "bp4d": (write_bp4d, {}, None),
    "disfa": (write_disfa, {}, None),
}


def content(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_recording_of_each_layout_is_labelled_and_its_raw_data_are_left_alone(layout, tmp_path):
    make, options, clock = TREES[layout]
    source, out = tmp_path / "raw", tmp_path / "dataset"
    source.mkdir()
    make(source)
    before = content(source)
    how = Options(**options)
    found = [
        looked_into(one, "start", how.sync) for one in adapter_for(layout)(source, how) if isinstance(one, Proposal)
    ]
    done = write_dataset(found, layout, source, out, {"name": layout})
    assert [one.state for one in done] == ["written"]
    path = done[0].path
    if layout != "facemorphic":  # which brings its own
        plain_landmarks(path.with_name("lm.npz"))
        path.write_text(path.read_text() + '[landmarks]\nfile = "lm.npz"\n')
    (session,) = find_sessions(read_dataset(out))
    assert session.problem is None
    result = label_session(session.path, bases=bases_beside(tmp_path), detector="precomputed", out=tmp_path / "run")
    assert result.frames_rgb == N
    assert result.frames_face == (N - 1 if layout == "facemorphic" else N)
    assert (result.clock is None) if clock is None else (result.clock["method"] == clock)
    if clock is not None:
        assert result.frames_labelled >= N - 4
    assert content(source) == before


def test_the_command_offers_the_layouts_that_there_are():
    assert tuple(LAYOUTS) == _LAYOUTS
    assert set(TREES) == set(LAYOUTS)


def test_a_layout_that_does_not_exist_gets_a_hint():
    with pytest.raises(ConfigError, match=r"no layout 'facemorphik': did you mean 'facemorphic'\?"):
        adapter_for("facemorphik")
