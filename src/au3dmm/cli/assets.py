"""`au3dmm assets`: heads to build bases on, FLAME above all, which everyone has to get for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.output import aligned, print_json, say
from au3dmm.cli.progress import make_reporter
from au3dmm.errors import Au3dmmError, ConfigError

if TYPE_CHECKING:
    from au3dmm.io.head_files import ImportedHead
    from au3dmm.io.heads import Head


@click.group(short_help="Import FLAME or another head; place dense landmarks.")
def assets() -> None:
    """Import heads that bases are built on, see which are there, and place dense landmarks on them."""


_FILE = click.Path(path_type=Path)
_EXAMPLES = """\b
Examples:
  au3dmm assets import --flame generic_model.pkl --landmarks flame_static_embedding_68.pkl
  au3dmm assets import --flame flame2023.pkl --landmarks landmark_embedding.npy
  au3dmm assets import --mesh head.obj --landmarks vertices68.json --name mine
"""


@assets.command("import", epilog=_EXAMPLES)
@click.option("--flame", type=_FILE, help="FLAME: generic_model.pkl, flame2023.pkl, or its template as .ply or .obj.")
@click.option("--mesh", type=_FILE, help="A head of any other topology, .ply or .obj.")
@click.option("--landmarks", type=_FILE, multiple=True, help="Where its 68 landmarks lie; repeat for files in parts.")
@click.option("--name", help="Under which it will be known.  [default: flame; with --mesh, the file's name]")
@click.option("--licence", help="Its licence, kept with every basis built on it.")
@click.option("--force", is_flag=True, help="Replace a head of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(
    flame: Path | None,
    mesh: Path | None,
    landmarks: tuple[Path, ...],
    name: str | None,
    licence: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Check a head and its landmarks, and keep them in the user's data, with a picture to look at.

    FLAME is not shipped: get it from flame.is.tue.mpg.de, and its landmarks from there or from DECA, TF_FLAME or MICA.
    Nothing in these files is run: they are pickles, and only arrays are taken out of them.

    --landmarks takes flame_static_embedding_68.pkl, landmark_embedding.npy (DECA), flame_static_embedding.pkl together
    with flame_dynamic_embedding.npy, landmarks68.json, or a list of 68 vertex indices (.json, .npy, .txt), and beside
    one of these mediapipe_landmark_embedding.npz.
    """
    from au3dmm.io.head_files import import_head
    from au3dmm.io.heads import HEAD_FILE, PICTURE_FILE, check_name, heads_folder, write_head

    if (flame is None) == (mesh is None):
        raise ConfigError("give one head: --flame FILE, or --mesh FILE for a head of another topology")
    path = flame or mesh
    assert path is not None, "one of them was given"
    called = name or ("flame" if flame else path.stem)
    check_name(called)
    if (heads_folder() / called / HEAD_FILE).exists() and not force:
        raise ConfigError(
            f"{heads_folder() / called}: a head of that name is there; --force replaces it, or use --name"
        )
    found = import_head(path, landmarks, name=called, flame=flame is not None, licence=licence)
    picture = heads_folder() / called / PICTURE_FILE
    _draw(found, path, picture)
    folder = write_head(found.head)
    if as_json:
        done = {"unit": found.unit, "moved_m": list(found.moved_m), "folder": str(folder), "picture": str(picture)}
        print_json({**_describe(found.head), **done})
        return
    say(f"{called}: imported into {folder}")
    say(aligned(_rows(found, path, landmarks, picture)))


@assets.command("place-landmarks")
@click.option("--bases", type=_FILE, help="A basis file: the places go into it; its labels are made anew.")
@click.option("--head", help="An imported head, by its name, to look at; the fit reads the places of --bases.")
@click.option("--out", type=_FILE, help="With --bases: write the basis with its places there instead.")
@click.option("--force", is_flag=True, help="Find them again; replace those that came from a file, and --out.")
@click.option("--no-picture", is_flag=True, help="Do not draw the head with its points.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def place_landmarks_(
    bases: Path | None, head: str | None, out: Path | None, force: bool, no_picture: bool, as_json: bool
) -> None:
    """Find where MediaPipe's dense points lie on a basis or a head, without anybody's table of them.

    The neutral head is drawn from seven sides under three lights, MediaPipe looks at the drawings, and its points are
    cast back onto the mesh. Points about which the views disagree by more than 2.5 mm are left out.

    With such a basis, `landmarks = "dense"` in [identity] and [fit] of a pipeline file fits those points beside the 68.
    """
    from au3dmm.api import place_landmarks

    with make_reporter("auto") as reporter:

        def tell(done: int, total: int) -> None:
            if done == 1:
                reporter({"event": "start", "stage": "place"})
            reporter({"event": "progress", "stage": "place", "done": done, "total": total})

        placed = place_landmarks(bases=bases, head=head, out=out, force=force, picture=not no_picture, progress=tell)
    if as_json:
        print_json(placed.to_dict())
        return
    did = "up to date in" if placed.state == "up to date" else "placed in"
    rows = [
        ("points", f"{placed.kept} of MediaPipe's {placed.info['points']}"),
        ("views", f"face found in {placed.info['views_found']} of {placed.info['views']}"),
        ("disagreement", f"{placed.spread_mm:.2f} mm (median)"),
    ]
    if placed.picture is not None:
        rows.append(("look at it", str(placed.picture)))
    say(f"dense landmarks: {did} {placed.file}")
    say(aligned(rows))


@assets.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """Show the heads that are there: the shipped one and the imported ones."""
    from au3dmm.io.heads import SHIPPED, head_names, heads_folder, read_head

    rows: list[tuple[str, ...]] = []
    found: list[dict[str, Any]] = []
    for name in [SHIPPED, *head_names()]:
        try:
            head = read_head(name)
        except Au3dmmError as err:
            rows.append((name, "damaged", str(err)))
            found.append({"name": name, "error": str(err)})
            continue
        where = "shipped" if name == SHIPPED else str(heads_folder() / name)
        topology = "FLAME" if head.is_flame_topology else head.topology_hash()[:12]
        rows.append((name, f"{len(head.vertices)} vertices", topology, where))
        found.append({**_describe(head), "folder": where})
    if as_json:
        print_json({"folder": str(heads_folder()), "heads": found})
    else:
        say(aligned(rows, indent=""))


def _describe(head: Head) -> dict[str, Any]:
    return {
        "name": head.name,
        "n_vertices": len(head.vertices),
        "n_triangles": len(head.faces),
        "is_flame_topology": head.is_flame_topology,
        "topology_hash": head.topology_hash(),
        "landmark_hash": head.landmark_hash(),
        "n_dense_landmarks": len(head.dense.landmark_index) if head.dense else 0,
        "licence": head.licence,
        "source": head.source,
    }


def _rows(found: ImportedHead, path: Path, landmarks: tuple[Path, ...], picture: Path) -> list[tuple[str, str]]:
    head = found.head
    marks = f"68 of iBUG, {head.landmark_hash()[:12]}"
    if head.dense is not None:
        marks += f"; {len(head.dense.landmark_index)} of MediaPipe"
    return [
        ("mesh", f"{path.name}: {_mesh_line(head)}"),
        ("frame", _frame_line(found)),
        ("landmarks", f"{marks} ({', '.join(file.name for file in landmarks)})"),
        ("licence", head.licence),
        ("look at it", str(picture)),
    ]


def _mesh_line(head: Head) -> str:
    topology = f"{'FLAME' if head.is_flame_topology else 'another'} topology {head.topology_hash()[:12]}"
    return f"{len(head.vertices)} vertices, {len(head.faces)} triangles, {topology}"


def _frame_line(found: ImportedHead) -> str:
    eyes = f"outer eye corners {1e3 * found.head.eye_distance_m():.1f} mm apart"
    moved = "not moved"
    if any(found.moved_m):
        x, y, z = (1e3 * m for m in found.moved_m)
        moved = f"moved by ({x:.0f}, {y:.0f}, {z:.0f}) mm to where FLAME's face is"
    return f"in {found.unit}, {moved}; {eyes}"


def _draw(found: ImportedHead, path: Path, picture: Path) -> None:
    from au3dmm.io.images import write_image
    from au3dmm.report.head_picture import head_picture

    head = found.head
    dense = head.dense_landmarks()
    notes = [f"{path.name}: {_mesh_line(head)}", _frame_line(found)]
    if dense is not None:
        notes.append(f"small dots: {len(dense)} of MediaPipe's points")
    ascii_only = [line.encode("ascii", "replace").decode() for line in notes]
    image = head_picture(head.vertices, head.faces, head.landmarks(), dense=dense, title=head.name, notes=ascii_only)
    write_image(picture, image)
