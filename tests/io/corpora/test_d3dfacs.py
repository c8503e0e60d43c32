import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.corpora.d3dfacs import read_d3dfacs
from au3dmm.io.mesh import Mesh, read_mesh, write_mesh
from corpora_trees import heads, write_tree


def takes():
    return {
        "Darren/1+2+4+5+11+17+38": heads(3, 1),
        "Joe/1+2": heads(13, 0),
        "Joe/9": heads(2, 0),
        "Joe/12L+25": heads(2, 0),
    }


def write(root, first=1):
    write_tree(root, takes(), first=first, name="{sequence}_{frame}.ply")  # numbers without leading zeros


@pytest.mark.parametrize("parent", [False, True])
def test_sequences_frames_neutral_rows_and_action_units(tmp_path, parent):
    root = tmp_path / "d3dfacs_alignments"
    write(root, first=95)  # 95, 96, ... 107: by text, 100 would come first
    corpus = read_d3dfacs(tmp_path if parent else root, cache=tmp_path / "cache")
    found = {f"{s.subject_id}/{s.name}": s for s in corpus.sequences}
    assert list(found) == list(takes())
    for name, frames in takes().items():
        np.testing.assert_array_equal(corpus.frames[found[name].rows], frames)
    assert [s.action_units for s in corpus.sequences] == [
        ("AU1", "AU2", "AU4", "AU5", "AU11", "AU17", "AU38"),
        ("AU1", "AU2"),
        ("AU9",),
        ("AU12_left", "AU25"),
    ]
    assert corpus.neutrals == {}
    assert sorted(corpus.neutral_rows) == ["Darren", "Joe"]
    joe = corpus.neutral_rows["Joe"]
    np.testing.assert_array_equal(
        corpus.frames[joe], np.stack([takes()[f"Joe/{n}"][0] for n in ("1+2", "9", "12L+25")])
    )
    assert corpus.posed
    assert "2 subjects, 4 sequences" in corpus.provenance


def test_a_lost_first_frame_gives_its_place_to_the_next(tmp_path):
    write(tmp_path)
    (tmp_path / "Joe" / "1+2" / "1+2_1.ply").write_text("ply")
    (tmp_path / "Joe" / "9" / "9_1.ply").write_text("ply")
    (tmp_path / "Joe" / "9" / "9_2.ply").write_text("ply")
    corpus = read_d3dfacs(tmp_path, cache=tmp_path / "cache", max_lost=0.2)
    assert [s.name for s in corpus.sequences if s.subject_id == "Joe"] == ["1+2", "12L+25"]  # nothing of 9 is left
    rows = corpus.neutral_rows["Joe"]
    np.testing.assert_array_equal(corpus.frames[rows], np.stack([takes()["Joe/1+2"][1], takes()["Joe/12L+25"][0]]))
    assert sorted(file.path for file in corpus.lost) == ["Joe/1+2/1+2_1.ply", "Joe/9/9_1.ply", "Joe/9/9_2.ply"]
    with pytest.raises(
        SchemaError, match=r"3 or more of 20 frames cannot be used, expected at most 1 %: Joe/1\+2/1\+2_1"
    ):
        read_d3dfacs(tmp_path, cache=tmp_path / "cache")


def test_no_such_tree_is_told_with_an_example(tmp_path):
    with pytest.raises(SchemaError, match=r"no meshes in the folders of its folders; .* like Joe/1\+2/1\+2_175.ply"):
        read_d3dfacs(tmp_path, cache=tmp_path / "cache")
    with pytest.raises(SchemaError, match="no such folder"):
        read_d3dfacs(tmp_path / "none", cache=tmp_path / "cache")


@pytest.mark.shared
def test_heads_in_flame_topology(tmp_path, shared_data):
    mesh = read_mesh(shared_data / "flame_format" / "template.ply", n_vertices=5023)
    rng = np.random.default_rng(0)
    heads_ = [mesh.vertices + rng.normal(0, 5e-4, 3) for _ in range(4)]
    for k, head in enumerate(heads_):
        (tmp_path / "Joe" / "4").mkdir(parents=True, exist_ok=True)
        write_mesh(tmp_path / "Joe" / "4" / f"4_{k}.ply", Mesh(head, mesh.faces))
    mirrored = mesh.vertices * [-1, 1, 1]
    write_mesh(tmp_path / "Joe" / "4" / "4_4.ply", Mesh(mirrored, mesh.faces))  # another head, or another order
    corpus = read_d3dfacs(tmp_path, cache=tmp_path / "cache", max_lost=0.3)
    np.testing.assert_array_equal(corpus.frames[corpus.sequences[0].rows], np.asarray(heads_, np.float32))
    assert corpus.faces.shape == (9976, 3)
    assert [file.path for file in corpus.lost] == ["Joe/4/4_4.ply"]
    assert "mirrored" in corpus.lost[0].reason
