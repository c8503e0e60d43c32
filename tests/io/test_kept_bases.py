"""The basis of a run is kept with it, and found by its hash."""

import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint, write_bases
from au3dmm.io.kept_bases import find_bases, keep_bases
from au3dmm.io.run_folder import RunFolder
from demo_basis import few_components


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "data" / "derivatives" / "au3dmm" / "label"
    folder.mkdir(parents=True)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "mine.npz"
    write_bases(path, few_components(("AU1", "AU4")))
    return path


def test_a_given_basis_is_kept_and_found_when_its_own_file_is_gone(run, given):
    keep_bases(run, given)
    assert run.given_bases.read_bytes() == given.read_bytes()
    assert find_bases(run, bases_fingerprint(given)) == run.given_bases


def test_what_is_there_anyway_is_not_copied(run, given):
    keep_bases(run, asset_path(DEMO_BASES))
    run.bases.write_bytes(given.read_bytes())
    keep_bases(run, given)
    assert not run.given_bases.exists()
    assert find_bases(run, bases_fingerprint(asset_path(DEMO_BASES))) == asset_path(DEMO_BASES)
    assert find_bases(run, bases_fingerprint(given)) == run.bases


def test_it_is_found_where_the_dataset_names_it(run, given):
    dataset = run.path.parents[2]
    (dataset / "mine.npz").write_bytes(given.read_bytes())
    text = 'schema_version = 1\n\n[dataset]\nname = "d"\n\n[bases]\nfile = "mine.npz"\n'
    (dataset / "dataset.toml").write_text(text)
    assert find_bases(run, bases_fingerprint(given)).samefile(dataset / "mine.npz")


def test_one_that_is_nowhere_is_asked_for_in_one_line(run, given):
    with pytest.raises(
        ConfigError, match=r"not the basis that .* was made with \(\w{12}\); give its file: --set"
    ) as err:
        find_bases(run, bases_fingerprint(given))
    assert "\n" not in str(err.value)
    with pytest.raises(ConfigError, match=r"there\.npz: no such file, expected the basis"):
        find_bases(run, bases_fingerprint(given), "there.npz")


def test_one_that_moved_since_a_training_is_found_elsewhere(run, given):
    keep_bases(run, given)
    assert find_bases(run, bases_fingerprint(given), "there.npz", or_elsewhere=True) == run.given_bases
