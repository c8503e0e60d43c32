"""Landmarks, cameras and neutral faces beside the labels of `mesh_run`: where the true faces appear."""

from functools import cache

import numpy as np
import pyarrow as pa
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import Pose, from_plane, principal_point, project
from au3dmm.io.table_schemas import coefficients_schema, identity_schema, landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, write_table
from mesh_run import rendered_basis, true_alpha
from run_folder import BASIS, build_tables
from training_run import UNITS

SIZE = {"width": 320, "height": 240}
FOCAL = 277.0
LOST = (3,)


def poses(n):
    """A head that turns, comes nearer and moves to the side."""
    step = np.linspace(0, 1, n)
    turn = np.stack([0.1 + 0.1 * step, -0.2 + 0.5 * step, 0.05 * step], 1)
    shift = np.stack([4 + 10 * step, -3 - 5 * step], 1)
    return Pose(Rotation.from_rotvec(turn).as_matrix(), 700 + 200 * step, shift), turn


@cache
def at_landmarks():
    neutral, _, moves = rendered_basis().landmarks()
    return neutral, moves


def true_points(u, n):
    """Return the landmarks (n, 68, 3) of the true faces, and of the neutral one (68, 3), m."""
    neutral, moves = at_landmarks()
    return neutral + np.tensordot(true_alpha(u, n), moves, 1), neutral


def seen_points(u, n, focal):
    """Return where they appear (n, 68, 2), px, y down."""
    pose, _ = poses(n)
    return from_plane(project(true_points(u, n)[0], pose, focal), principal_point(**SIZE))


def write_landmarks(folder, u, n=12, *, focal=FOCAL, beside=0.0):
    """Write landmarks.parquet, coefficients.parquet and identity.parquet of one recording.

    Landmarks are found `beside` their places, outer eye distances: all frames' alike.
    """
    pose, turn = poses(n)
    centre = principal_point(**SIZE)
    ok = np.array([i not in LOST for i in range(n)])
    built = build_tables(n, LOST)
    seen = seen_points(u, n, focal)
    seen = seen + beside * np.linalg.norm(seen[:, 45] - seen[:, 36], axis=1)[:, None, None]
    points = np.concatenate([seen, np.zeros((n, 68, 1))], 2)
    affine = np.concatenate([pose.rotation[:, :2] * pose.scale[:, None, None], pose.translation[:, :, None]], 2)
    affine[:, 1] *= -1
    affine[:, :, 3] += centre
    new = {
        "landmarks_px": vector_array(points.reshape(n, -1), ok),
        "rotation_vector": vector_array(turn, ok),
        "scale_px_per_m": scalar_array(pose.scale, ok, pa.float32()),
        "translation_px": vector_array(from_plane(pose.translation, centre), ok),
        "camera": vector_array(affine.reshape(n, 8), ok),
        "neutral_landmarks_m": vector_array(true_points(u, n)[1].reshape(1, -1)),
    }
    schemas = {"landmarks": landmarks_schema(), "coefficients": coefficients_schema(3), "identity": identity_schema(2)}
    about = {"basis": BASIS, "image": SIZE, "camera": {"focal_px": focal}}
    for kind, schema in schemas.items():
        columns = [new.get(name, built[kind][name]) for name in schema.names]
        table = pa.Table.from_arrays(columns, schema=schema)
        write_table(folder / f"{kind}.parquet", kind, table, about)


def write_all_landmarks(run, people=3, n=12, **options):
    """Write those of every recording of `write_mesh_run`."""
    for p in range(people):
        for u, au in enumerate(UNITS):
            write_landmarks(run.session(f"S{p}_{au}"), u, n, **options)
