"""Every network at the smallest size at which all of its parts work, and clips for it."""

import functools

import torch

from au3dmm.models import MODELS, make_model

N_FRAMES, CHANNELS, IMAGE_PX, N_ALPHA = 5, 2, 32, 6
FRAMES = {"n_frames": N_FRAMES, "channels": CHANNELS, "image_px": IMAGE_PX, "n_alpha": N_ALPHA, "n_classes": 4}
ALPHA = {"n_frames": N_FRAMES, "n_alpha": N_ALPHA, "n_classes": 4}
SMALL = {
    "st_vit": {**FRAMES, "dim": 16, "spatial_depth": 2, "temporal_depth": 2, "heads": 2, "dim_head": 8},
    "resnet18_lstm": {**FRAMES, "n_features": 16, "hidden": 12, "layers": 2},
    "resnet18_transformer": {**FRAMES, "n_features": 16, "dim": 16, "dim_head": 8, "mlp": 16},
    "i3d": {**FRAMES, "n_features": 16},
    # edges to all other regions, not to predicted units alone: whatever is predicted, attention has something to learn
    "mdhr": {**FRAMES, "n_occurrence": 3, "trunk": "resnet18", "width": 16, "n_dynamic": 8, "k": 2, "edges": "cross"},
    "alpha_transformer": {**ALPHA, "dim": 16, "dim_head": 8, "mlp": 16},
    "alpha_lstm": {**ALPHA, "hidden": 12},
    "au_d3dface": {
        **ALPHA,
        "n_occurrence": 3,
        "n_motion": 8,
        "dim": 16,
        "depth": 2,
        "heads": 2,
        "mlp": 16,
        "token_hidden": 8,
    },
}
assert set(SMALL) == set(MODELS)


def tiny(name, seed=0, **options):
    torch.manual_seed(seed)
    return make_model(name, **{**SMALL[name], **options})


@functools.cache
def still(name):
    """Return `tiny` with all heads, in evaluation; made once, for tests that do not change it."""
    return tiny(name, n_occurrence=3).eval()


def clips(name, n_clips=3, n_frames=N_FRAMES, seed=1):
    """Return what `tiny` takes: frames in 0 to 1, or coefficients."""
    random = torch.Generator().manual_seed(seed)
    if MODELS[name].INPUT == "alpha":
        return torch.randn(n_clips, n_frames, N_ALPHA, generator=random)
    return torch.rand(n_clips, n_frames, CHANNELS, IMAGE_PX, IMAGE_PX, generator=random)


def heads(prediction):
    """Return the heads that a prediction has, and what it has for the loss alone."""
    said = [head for head in prediction if torch.is_tensor(head)]
    return said + [value for name, value in (prediction.auxiliary or {}).items() if not name.endswith("_units")]
