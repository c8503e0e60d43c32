import dataclasses

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from au3dmm.config import BasesParams
from au3dmm.core.basis import deform
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.core.sparse_codes import encode
from au3dmm.core.std_factors import LEAST, MOST
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.io.corpora.base import Sequence
from au3dmm.stages import bases_std_factors
from au3dmm.stages.bases import run
from au3dmm.stages.bases_checks import same_topology
from au3dmm.stages.bases_intensities import bases_intensities, intensity_info
from au3dmm.stages.bases_rows import offset_rows
from small_corpus import FRAMES, TAKES, UNITS, make_corpus

PARAMS = BasesParams(k_au=(4,), epochs=8)


def fit(corpora, folder, params=PARAMS, **options):
    outputs = {k: folder / f"k{k}.npz" for k in params.k_au}
    first = corpora[0]
    made = run(
        corpora=corpora,
        faces=first.faces,
        embedding=first.embedding,
        reference=None,
        is_flame_topology=False,
        outputs=outputs,
        params=params,
        **options,
    )
    assert sorted(made) == sorted(outputs)
    bases = read_bases(outputs[params.k_au[0]])
    return bases.info, bases


def matched(bases, shapes):
    """Cosine of each true shape to its component, and the component's number."""
    a = bases.components_au.reshape(bases.k_au, -1)
    b = shapes.reshape(len(shapes), -1)
    cosine = (b / np.linalg.norm(b, axis=1, keepdims=True)) @ (a / np.linalg.norm(a, axis=1, keepdims=True)).T
    i, j = linear_sum_assignment(-cosine)
    return cosine[i, j], j


@pytest.fixture(scope="module")
def small():
    return make_corpus()


@pytest.fixture(scope="module")
def learnt(small, tmp_path_factory):
    return fit([small.corpus], tmp_path_factory.mktemp("bases"))


def test_planted_action_units_come_back_with_their_meaning(small, learnt):
    report, bases = learnt
    cosine, which = matched(bases, small.shapes)
    assert cosine.min() > 0.99
    entries = bases.info["components"]
    found = {unit: entries[k] for unit, k in zip(UNITS, which, strict=True)}
    assert found["AU12_left"]["side"] == "left"
    assert found["AU12_left"]["mirror"] == found["AU12_right"]["name"]
    assert found["AU4"]["region"] == "brows"
    assert found["AU26"]["action_units"][0]["au"] == "AU26"
    assert found["AU26"]["action_units"][0]["n"] == 3 * sum("AU26" in units for units in TAKES)
    assert [a["au"] for a in found["AU12_left"]["action_units"]] == ["AU12_left"]
    assert bases.names_au == tuple(entry["name"] for entry in entries)
    assert report["variance_explained_au"] > 0.99


def test_identity_is_the_pca_of_the_neutrals_and_its_rank_is_told(small, learnt):
    report, bases = learnt
    assert report["k_id"] == bases.k_id == 5  # three people and their mirror images
    heads = np.stack(list(small.neutrals.values()))
    flip = heads[:, read_default_head().mirror] * [-1, 1, 1]
    np.testing.assert_allclose(bases.template, np.concatenate([heads, flip]).mean(0), atol=2e-4)  # up to a rigid motion
    alpha = np.eye(5)  # any person is within reach
    assert np.isfinite(deform(bases.template, bases.components_id, alpha)).all()
    assert bases.info["variance_explained_id"][-1] == pytest.approx(1)


def test_alpha_is_in_standard_deviations_of_the_corpus(small, learnt):
    _, bases = learnt
    offsets = (small.frames - np.repeat(list(small.neutrals.values()), len(TAKES) * FRAMES, 0)).reshape(
        len(small.frames), -1
    )
    units = bases.components_au.reshape(4, -1) / bases.stddev_au[:, None]
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-4)
    codes = encode(offsets.astype(np.float64), units, bases.info["l1"], tolerance=1e-9)
    # the codes that it was learnt with weigh the eyelids more, and look at mirrored frames, too
    np.testing.assert_allclose(np.sqrt((codes**2).mean(0)), bases.stddev_au, rtol=4e-2)


@pytest.mark.parametrize("neutral_files", [True, False])
def test_head_motion_changes_nothing(small, learnt, tmp_path, neutral_files):
    posed = make_corpus(posed=True, neutral_files=neutral_files)
    report, bases = fit([posed.corpus], tmp_path)
    assert matched(bases, small.shapes)[0].min() > 0.98
    assert report["residual_rms_mm"] == pytest.approx(learnt[0]["residual_rms_mm"], abs=0.05)
    assert not report["warnings"]


def test_the_number_of_threads_changes_no_byte(small, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "three").mkdir()
    posed = make_corpus(posed=True).corpus
    for corpus in (small.corpus, posed):
        fit([corpus], tmp_path / "one", workers=1)
        fit([corpus], tmp_path / "three", workers=3)
        assert (tmp_path / "one" / "k4.npz").read_bytes() == (tmp_path / "three" / "k4.npz").read_bytes()


def test_several_numbers_of_components_share_one_reduction(small, tmp_path):
    steps = []
    fit(
        [small.corpus],
        tmp_path,
        BasesParams(k_au=(2, 4, 6), epochs=4),
        progress=lambda step, done, total: steps.append(step),
    )
    assert list(dict.fromkeys(steps)) == ["reduce", "learn K=2", "learn K=4", "learn K=6"]
    left = [read_bases(tmp_path / f"k{k}.npz").info["residual_rms_mm"] for k in (2, 4, 6)]
    assert left[0] > left[1] >= left[2] * 0.8
    for k in (2, 4, 6):
        assert read_bases(tmp_path / f"k{k}.npz").k_au == k


@pytest.mark.parametrize("method", ["pca", "localised"])
def test_other_methods(small, tmp_path, method):
    report, bases = fit([small.corpus], tmp_path, BasesParams(k_au=(4,), method=method, epochs=8))
    assert bases.info["method"] == method
    if method == "pca":
        assert report["variance_explained_au"] == pytest.approx(1, abs=1e-4)
        flat = bases.components_au.reshape(4, -1) / bases.stddev_au[:, None]
        np.testing.assert_allclose(flat @ flat.T, np.eye(4), atol=1e-3)
    else:
        assert (np.abs(bases.components_au).max(2) == 0).mean() > 0.3
        assert matched(bases, small.shapes)[0].min() > 0.97


def test_each_sequence_may_count_from_its_own_first_frame(small, tmp_path):
    # everybody holds half a smile all the time: a part of no action unit's motion
    grin = small.frames + (0.5 * small.shapes[0] + 0.5 * small.shapes[1]).astype(np.float32)
    corpus = dataclasses.replace(small.corpus, frames=grin)
    by_subject, _ = fit([corpus], tmp_path)
    by_sequence, bases = fit([corpus], tmp_path, BasesParams(k_au=(4,), epochs=8, neutral="sequence"))
    assert matched(bases, small.shapes)[0].min() > 0.99
    assert by_sequence["rms_offset_mm"] < by_subject["rms_offset_mm"]


def test_a_neutral_that_is_not_neutral_is_flagged(small, tmp_path):
    neutrals = {**small.neutrals, "p2": small.neutrals["p2"] + 1.5 * small.shapes[3]}
    report, _ = fit([dataclasses.replace(small.corpus, neutrals=neutrals)], tmp_path)
    flagged = [text for text in report["warnings"] if "neutral head" in text]
    assert len(flagged) == 1
    assert "the neutral head of p2 does not look neutral" in flagged[0]


def test_a_sequence_that_starts_active_is_flagged_and_not_taken_for_neutral(small, tmp_path):
    made = make_corpus(posed=True, neutral_files=False)
    frames = made.frames.copy()
    active = made.corpus.sequences[3]  # AU26 of p1
    frames[active.rows[0]] = frames[active.rows[FRAMES // 2]]
    report, bases = fit([dataclasses.replace(made.corpus, frames=frames)], tmp_path)
    assert [w.split(" does not start neutral")[0] for w in report["warnings"]] == ["p1/take4"]
    assert matched(bases, small.shapes)[0].min() > 0.95


def test_two_corpora_of_one_topology_are_joined(small, tmp_path):
    other = make_corpus(name="other", seed=5, subjects=2)
    report, bases = fit([small.corpus, other.corpus], tmp_path)
    assert report["k_id"] == bases.k_id == 9
    assert [(c["name"], c["subjects"]) for c in report["corpora"]] == [("small", 3), ("other", 2)]
    assert matched(bases, small.shapes)[0].min() > 0.99


def test_another_topology_is_refused(small):
    other = small.corpus.faces[::-1].copy()
    with pytest.raises(SchemaError, match="small and other have other triangles"):
        same_topology([small.corpus, dataclasses.replace(small.corpus, name="other", faces=other)])
    half = make_corpus(name="half")
    fewer = dataclasses.replace(
        half.corpus, frames=half.frames[:, :100], neutrals={s: n[:100] for s, n in half.neutrals.items()}
    )
    with pytest.raises(SchemaError, match="half has 100 vertices, small has 5023"):
        same_topology([small.corpus, fewer])


@pytest.mark.parametrize("posed", [False, True])
def test_vertices_that_are_not_finite_are_named(small, tmp_path, posed):
    frames = small.frames.copy()
    frames[2 * FRAMES + 4, 17, 1] = np.nan
    corpus = dataclasses.replace(small.corpus, frames=frames, posed=posed)
    with np.errstate(invalid="ignore"), pytest.raises(SchemaError, match="frame 4 of p1/take3"):
        fit([corpus], tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_components_than_the_data_supports_are_refused(small, tmp_path):
    with pytest.raises(ConfigError, match="3 components asked for, but 3 subjects give 2"):
        fit([small.corpus], tmp_path, BasesParams(k_id=3, k_au=(4,), mirrored=False))
    with pytest.raises(ConfigError, match="6 components asked for, but 3 subjects, mirrored, too, give 5"):
        fit([small.corpus], tmp_path, BasesParams(k_id=6, k_au=(4,)))
    with pytest.raises(ConfigError, match="200 AU components of 162 frames; ask for at most 162"):
        fit([small.corpus], tmp_path, BasesParams(k_au=(200,)))
    for method in ("pca", "dictionary"):
        with pytest.raises(ConfigError, match=r"40 AU components asked for, but the corpus moves in \d+ independent"):
            fit([small.corpus], tmp_path, BasesParams(k_au=(40,), method=method))
    alone = make_corpus(subjects=1)
    with pytest.raises(SchemaError, match="1 subject in the corpus; expected at least 2"):
        fit([alone.corpus], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_mirrored_head_among_others_is_named(small, tmp_path):
    mirrored = make_corpus(name="mirrored", seed=5, subjects=2)
    flip = np.array([-1, 1, 1])
    other = dataclasses.replace(
        mirrored.corpus,
        frames=mirrored.frames * flip.astype(np.float32),
        neutrals={s: n * flip for s, n in mirrored.neutrals.items()},
    )
    with pytest.raises(SchemaError, match="the neutral head of mirrored/p1, registered,: landmarks"):
        fit([small.corpus, other], tmp_path)
    with pytest.raises(SchemaError, match="corpus mirrored: landmarks"):
        fit([other], tmp_path)


def test_a_penalty_that_nothing_is_worth_is_told(small, tmp_path):
    with pytest.raises(ConfigError, match=r"none of the 4 AU components is worth its penalty .* lower l1"):
        fit([small.corpus], tmp_path, BasesParams(k_au=(4,), l1=50.0, epochs=2))


def test_corpora_and_subjects_of_one_name_are_kept_apart(small, tmp_path):
    again = make_corpus(seed=9)
    report, _ = fit([small.corpus, again.corpus], tmp_path)
    assert report["k_id"] == 11


def test_components_that_repeat_others_are_told(small, tmp_path):
    noisy = make_corpus(noise_m=2e-5)  # full rank, but four movements
    report, _ = fit([noisy.corpus], tmp_path, BasesParams(k_au=(12,), epochs=5))
    assert len(report["warnings"]) == 1
    assert "AU components nearly repeat another (c" in report["warnings"][0]


def test_landmarks_that_are_not_those_of_a_face_are_refused_before_anything_is_read(small, tmp_path):
    backwards = LandmarkEmbedding(
        small.corpus.embedding.face_index[::-1].copy(), small.corpus.embedding.barycentric[::-1].copy()
    )

    class Unreadable:
        shape = small.corpus.frames.shape

        def __getitem__(self, rows):
            raise AssertionError("frames were read")

    corpus = dataclasses.replace(small.corpus, embedding=backwards, frames=Unreadable())
    with pytest.raises(SchemaError, match="corpus small: landmarks"):
        fit([corpus], tmp_path)


def test_heads_that_move_though_they_are_said_to_be_registered_are_told(tmp_path):
    moving = make_corpus(posed=True).corpus
    report, _ = fit([dataclasses.replace(moving, posed=False)], tmp_path)
    assert "heads of corpus small move by" in report["warnings"][0]
    assert "posed = true" in report["warnings"][0]
    still = make_corpus(noise_m=2e-4).corpus
    assert not any("as a whole" in text for text in fit([still], tmp_path)[0]["warnings"])


def test_a_corpus_without_motion_is_refused(small, tmp_path):
    still = np.repeat(np.stack(list(small.neutrals.values())), len(TAKES) * FRAMES, 0)
    with pytest.raises(SchemaError, match="no frame differs from its neutral head"):
        fit([dataclasses.replace(small.corpus, frames=still)], tmp_path)


def test_a_frame_of_two_sequences_is_refused(small, tmp_path):
    twice = (*small.corpus.sequences, Sequence("p1", "again", np.array([3])))
    with pytest.raises(SchemaError, match="1 frames belong to two sequences"):
        fit([dataclasses.replace(small.corpus, sequences=twice)], tmp_path)


def test_rows_that_no_sequence_names_are_left_out(small, tmp_path, learnt):
    frames = np.concatenate([np.full((5, 5023, 3), np.nan, np.float32), small.frames])
    shifted = tuple(dataclasses.replace(s, rows=s.rows + 5) for s in small.corpus.sequences)
    _, bases = fit([dataclasses.replace(small.corpus, frames=frames, sequences=shifted)], tmp_path)
    np.testing.assert_array_equal(bases.components_au, learnt[1].components_au)


def test_a_basis_of_a_symmetric_head_is_its_own_mirror_image(small, learnt):
    report, bases = learnt
    partner = read_default_head().mirror
    assert report["mirrored"] is True
    assert report["mirror_error"] < 1e-8
    middle = bases.template[:, 0].mean()
    np.testing.assert_allclose(bases.template[partner] * [-1, 1, 1] + [2 * middle, 0, 0], bases.template, atol=1e-6)
    np.testing.assert_array_equal(np.sort(bases.mirror_au, axis=1), np.eye(4)[[3] * 4])
    image = bases.components_au[:, partner] * [-1, 1, 1]
    np.testing.assert_allclose(np.tensordot(bases.mirror_au, bases.components_au, 1), image, atol=1e-7)
    for component in bases.components_id:  # each is symmetric or antisymmetric
        flipped = component[partner] * [-1, 1, 1]
        assert abs((component * flipped).sum()) > 0.999 * (component**2).sum()


def test_one_sided_training_gives_both_sides(tmp_path):
    small = make_corpus()
    keep = [s for s in small.corpus.sequences if "AU12_right" not in s.action_units]
    corpus = dataclasses.replace(small.corpus, sequences=tuple(keep))
    _, bases = fit([corpus], tmp_path)
    assert matched(bases, small.shapes)[0].min() > 0.99  # the smile on the right was never seen


def test_without_mirroring_the_matrix_is_still_told(small, tmp_path):
    report, bases = fit([small.corpus], tmp_path, BasesParams(k_au=(4,), epochs=8, mirrored=False))
    assert report["mirrored"] is False
    assert report["k_id"] == 2
    assert report["mirror_error"] < 0.01
    assert (bases.mirror_au >= 0).all()


def test_a_lopsided_head_is_learnt_from_without_mirroring_and_said_so(small, tmp_path):
    squeezed = small.frames.copy()
    neutrals = {s: n.copy() for s, n in small.neutrals.items()}
    head = read_default_head().vertices
    back = (head[:, 0] > 0) & (head[:, 2] < -0.02)  # all of it behind the landmarks
    squeezed[:, back, 0] *= 0.1
    for n in neutrals.values():
        n[back, 0] *= 0.1
    corpus = dataclasses.replace(small.corpus, frames=squeezed, neutrals=neutrals)
    report, bases = fit([corpus], tmp_path)
    assert report["mirrored"] is False
    assert bases.mirror_au is None
    assert any("no mirror partners" in text for text in report["warnings"])


def test_eyelids_that_count_more_are_learnt_first(small, tmp_path):
    bases = read_bases(asset_path(DEMO_BASES))
    blink = 1.5 * bases.components_au[[bases.names_au.index(n) for n in bases.names_au if n.startswith("AU43")][:2]]
    rng = np.random.default_rng(0)
    course = rng.random((len(small.frames), len(blink))) * (rng.random((len(small.frames), len(blink))) < 0.15)
    frames = small.frames + np.tensordot(course, blink, 1).astype(np.float32)
    corpus = dataclasses.replace(small.corpus, frames=frames)
    left = []
    for weight in (1.0, 100.0):
        _, made = fit([corpus], tmp_path, BasesParams(k_au=(4,), epochs=8, eyelid_weight=weight))
        flat = made.components_au.reshape(4, -1)
        error = blink.reshape(len(blink), -1) - encode(blink.reshape(len(blink), -1), flat, 0.0) @ flat
        left.append((error**2).sum() / (blink**2).sum())
    assert left[0] > 0.9  # not among the four
    assert left[1] < 0.6


def test_a_basis_learnt_from_tags_reads_intensities_on_each_side(small, learnt):
    info, bases = learnt
    assert bases.intensities is not None
    assert bases.intensities.units == ("AU4", "AU12", "AU26")
    assert [unit["sequences"] for unit in info["intensities"]["units"]] == [6, 9, 6]
    assert "95 % quantile" in info["intensities"]["scale"]
    assert (bases.intensities.explained > 0.8).all()
    smile = small.shapes[UNITS.index("AU12_left")].ravel()
    alpha = np.linalg.lstsq(bases.components_au.reshape(4, -1).T, smile, rcond=None)[0]
    found = dict(zip(bases.intensities.names, bases.intensities.read(alpha[None])[0], strict=True))
    assert 3 < found["AU12_left"] < 6
    assert found["AU12_right"] < 0.3
    assert found["AU4"] < 0.3


def test_a_corpus_without_tags_gives_no_intensities(small):
    bare = dataclasses.replace(
        small.corpus, sequences=tuple(dataclasses.replace(s, action_units=()) for s in small.corpus.sequences)
    )
    rows = offset_rows([bare], None, "subject", 1)
    assert bases_intensities(rows, None, None, None, PARAMS, (None, None)) is None
    assert intensity_info(None) == {}


def test_deviations_get_factors_alike_for_mirror_partners(small, learnt):
    _, bases = learnt
    factors = bases.std_factor_au
    assert factors.shape == (4,)
    assert ((factors >= LEAST) & (factors <= MOST)).all()
    _, which = matched(bases, small.shapes)
    left, right = (factors[which[UNITS.index(f"AU12_{side}")]] for side in ("left", "right"))
    assert left == right
    assert np.ptp(factors) > 0


def test_tagged_and_untagged_takes_are_two_kinds_of_movement(small, tmp_path):
    silent = [dataclasses.replace(s, action_units=()) for s in small.corpus.sequences]
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bases_std_factors, "learn_std_factors", lambda groups, *_, **how: asked.extend(groups))
        half = [s if i % 2 else silent[i] for i, s in enumerate(small.corpus.sequences)]
        fit([dataclasses.replace(small.corpus, sequences=tuple(half))], tmp_path)
    tagged, untagged = asked
    assert len(tagged.owner) == len(untagged.owner) == len(small.frames) / 2
    codes, shapes = tagged.codes, small.shapes.reshape(4, -1)
    rows = np.concatenate([s.rows for i, s in enumerate(small.corpus.sequences) if i % 2])
    true = small.frames[rows] - np.repeat(list(small.neutrals.values()), len(rows) // 3, 0)
    shown = true.reshape(len(rows), -1) @ np.linalg.pinv(shapes)
    assert np.corrcoef(codes.sum(1), shown.sum(1))[0, 1] > 0.9
    assert tagged.heads.shape == (3, 68, 3)


def test_signed_codes_have_no_factors(small, tmp_path):
    assert fit([small.corpus], tmp_path, BasesParams(k_au=(4,), method="pca"))[1].std_factor_au is None
    signed = BasesParams(k_au=(4,), codes="signed", epochs=4)
    assert fit([small.corpus], tmp_path, signed)[1].std_factor_au is None
