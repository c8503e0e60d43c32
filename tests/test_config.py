from pathlib import Path

import pytest
from pydantic import ValidationError

from au3dmm.config import DetectParams, PipelineParams, load_pipeline
from au3dmm.errors import ConfigError

PIPELINES = Path(__file__).parents[1] / "pipelines"


def test_label_toml_spells_out_the_defaults():
    import tomllib

    assert load_pipeline(PIPELINES / "label.toml") == PipelineParams()
    spelled = tomllib.loads((PIPELINES / "label.toml").read_text())
    for section, values in PipelineParams().model_dump(mode="json").items():
        assert spelled[section] == values, f"pipelines/label.toml [{section}] must spell out every default"


def test_facemorphic_toml_is_the_published_method():
    params = load_pipeline(PIPELINES / "facemorphic.toml")
    assert params.detect.detector == "face_alignment"
    assert params.identity.neutral == "first_frame"
    assert params.fit.codes == "ridge"
    assert params.fit.camera == params.identity.camera == "affine"
    assert (params.frames.windows, params.align.method) == ("rgb", "index")


def test_a_preset_fills_what_is_not_given_and_no_more():
    params = PipelineParams.model_validate({"preset": "paper", "fit": {"sigma_px": 3.0}})
    assert params.fit.sigma_px == 3.0
    assert not params.fit.joint_pose
    assert params.identity.sigma_offset_m == 0
    assert PipelineParams().fit.joint_pose


def test_a_preset_reaches_sections_given_as_models():
    from au3dmm.config import FitParams

    params = PipelineParams(preset="paper", fit=FitParams(sigma_px=3.0))
    assert (params.fit.codes, params.fit.sigma_px) == ("ridge", 3.0)


def test_a_section_may_leave_the_preset_of_the_file():
    params = PipelineParams.model_validate({"preset": "paper", "fit": {"preset": "robust"}})
    assert params.fit.codes == "nonnegative"
    assert params.identity.neutral == "first_frame"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nsigmapx = 1.0", r"unknown name 'fit.sigmapx': did you mean 'sigma_px'\?"),
        ("[fitt]\nl1 = 1.0", r"unknown name 'fitt': did you mean 'fit'\?"),
        ("[fit]\nl1 = -1.0", r"fit.l1: input should be greater than or equal to 0, found -1.0"),
        ("[fit]\ncodes = 'lasso'", r"fit.codes: .*'nonnegative' or 'ridge', found 'lasso'"),
        ("[fit", "not valid TOML"),
        ("detect = 'mediapipe'", "detect: input should be a valid dictionary.*, found 'mediapipe'"),
    ],
)
def test_a_wrong_pipeline_file_is_explained_in_one_line(tmp_path, text, message):
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as err:
        load_pipeline(path)
    assert str(path) in str(err.value)
    assert "\n" not in str(err.value)


def test_a_missing_pipeline_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read: No such file"):
        load_pipeline(tmp_path / "none.toml")


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text("[detect]\ndetector = 'face_alignment'\nrecrops = 2\n")
    params = load_pipeline(path, detect={"detector": "precomputed"})
    assert params.detect.detector == "precomputed"
    assert params.detect.recrops == 2


@pytest.mark.parametrize("text", ["detect = 'mediapipe'", "[[detect]]\nrecrops = 1"])
def test_a_section_that_is_no_table_is_explained_with_overrides_too(tmp_path, text):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"p\.toml: detect: input should be a valid dictionary"):
        load_pipeline(path, detect={"detector": "precomputed"})


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "p.toml"
    path.write_bytes("\ufeff[detect]\r\nrecrops = 2\r\n".encode())
    assert load_pipeline(path).detect.recrops == 2


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "p.toml"
    path.write_bytes(b"\xff\xfe[")
    with pytest.raises(ConfigError, match="not valid TOML: 'utf-8' codec can't decode"):
        load_pipeline(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[fit]\nlandmarks = 'dense'", r"needs identity\.landmarks = 'dense'"),
        ("[identity]\nlandmarks = 'dense'\n[detect]\ndetector = 'face_alignment'", "face_alignment gives the 68 alone"),
    ],
)
def test_dense_points_that_nothing_can_give_are_refused(tmp_path, text, expected):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_pipeline(path)


def test_what_tracking_holds_in_memory_is_bounded():
    assert DetectParams(mediapipe_chunk_frames=4096).mediapipe_chunk_frames == 4096
    with pytest.raises(ValidationError, match="less than or equal to 4096"):
        DetectParams(mediapipe_chunk_frames=4097)
