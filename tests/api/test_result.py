import dataclasses

import pytest

import au3dmm
from au3dmm.api.dataset_result import DatasetResult
from au3dmm.errors import ConfigError
from au3dmm.io.run_folder import RunFolder
from au3dmm.pipeline.failure import Failure
from labelled import label_small
from small_recording import N


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return label_small(tmp_path_factory.mktemp("result"))


def test_a_result_draws_its_curves(result, tmp_path):
    figure = result.plot(3)
    assert len(figure.axes) == 3
    figure.savefig(tmp_path / "f.png", dpi=50)
    assert [axes.get_title(loc="left") for axes in result.plot(only=["AU3", "AU1"]).axes] == ["AU3", "AU1"]
    assert result.plot(1, width="single").get_figwidth() == pytest.approx(85 / 25.4)
    with pytest.raises(ConfigError, match="no component 'AU99'"):
        result.plot(only=["AU99"])


def test_a_result_without_events_draws_its_coefficients(result):
    outputs = {name: path for name, path in result.outputs.items() if name not in ("labels", "event_frames", "clock")}
    assert len(dataclasses.replace(result, outputs=outputs).plot(2).axes) == 2


def test_a_notebook_shows_numbers_and_warnings_escaped(result):
    shown = dataclasses.replace(result, warnings=("x < 3 & <script>",))._repr_html_()
    assert f"{N}, a face fitted in {N} (100.0 %)" in shown
    assert "trigger: offset 412345" in shown
    assert "x &lt; 3 &amp; &lt;script&gt;" in shown
    assert "<script" not in shown


def test_a_notebook_shows_what_a_run_of_a_dataset_did(tmp_path):
    failures = tuple(Failure(f"s{i:02}", "p01", "p", "detect", "SessionError", "no <video>") for i in range(12))
    states = {f.session_id: "failed" for f in failures} | {"ok1": "labelled"}
    run = DatasetResult(tmp_path, RunFolder(tmp_path / "run"), states, failures, {}, None, "", 1.0)
    shown = run._repr_html_()
    assert "13: 12 failed, 1 labelled" in shown
    assert shown.count("failed at detect: no &lt;video&gt;") == 10
    assert "2 more failures" in shown


def test_labels_become_a_pandas_frame(result):
    frame = au3dmm.read_labels(result.labels).to_pandas()
    assert len(frame) == N
    assert set(frame["status"]) == {"ok"}
    assert len(frame["alpha_au"][0]) == 12
