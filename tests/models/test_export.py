import pytest
import torch

from au3dmm.models.export import export_program, onnx_bytes, output_names
from tiny_networks import N_FRAMES, clips, heads, tiny

# an export takes seconds: between them, these three have every kind of layer but 3D convolutions, few times each
SHALLOW = {
    "st_vit": {"spatial_depth": 2, "temporal_depth": 1},
    "resnet18_lstm": {"layers": 1},
    "alpha_transformer": {"encoder_depth": 1, "decoder_depth": 1},
}
TOLERANCE = 1e-4


def exported(name):
    model = tiny(name, n_occurrence=3, **SHALLOW[name])
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[0, :2] = True
    padding[1] = True
    return model, x, padding


@pytest.mark.parametrize("name", SHALLOW)
def test_an_exported_program_answers_the_same_for_any_number_of_clips(name):
    model, x, padding = exported(name)
    program = export_program(model).module()
    assert model.training  # left as it was
    expected = heads(model.eval()(x, padding))
    assert len(output_names(model)) == len(expected)
    for found, head in zip(program(x, padding), expected, strict=True):
        assert (found - head).abs().max() < TOLERANCE
    assert (program(x[:1], padding[:1])[0] - expected[0][:1]).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", SHALLOW)
def test_onnx_answers_the_same_for_any_number_of_clips(name):
    model, x, padding = exported(name)
    try:
        import onnxruntime

        data = onnx_bytes(model)
    except ModuleNotFoundError as err:
        pytest.skip(f"SKIPPED LOUDLY: {err.name} is not installed: pip install au3dmm[onnx]")
    session = onnxruntime.InferenceSession(data)
    assert [i.name for i in session.get_inputs()] == ["x", "padding"]
    assert [o.name for o in session.get_outputs()] == output_names(model)
    found = session.run(None, {"x": x.numpy(), "padding": padding.numpy()})
    for answer, head in zip(found, heads(model.eval()(x, padding)), strict=True):
        assert abs(answer - head.detach().numpy()).max() < TOLERANCE
