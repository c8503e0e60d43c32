"""One page that shows a basis: what it was made of, its numbers, and a picture of every component."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.basis_summary import summarise_basis
from au3dmm.core.meaning import where_words
from au3dmm.io.atomic import write_bytes
from au3dmm.io.bases import bases_fingerprint
from au3dmm.report.component_sheet import PICTURE_PX, sd_words
from au3dmm.report.component_views import SHOWN_SD, BasisPictures
from au3dmm.report.mesh_views import HEAT, webp

UNKNOWN = "unknown"
_HEIGHT, _SHOWN = PICTURE_PX, 150  # px of a picture, as drawn (like the sheets', to draw it once) and as shown
_SHEETS = ("components", "identity")
_TEMPLATES = Path(__file__).with_name("templates")


def write_bases_page(
    path: Path, bases: Bases, *, file: Path | None = None, pictures: BasisPictures | None = None
) -> None:
    """Write a page about a basis: one HTML file that needs nothing else, on any screen, in light and dark.

    It links to sheets that lie beside it under its name (``bases.components.png`` and the like, beside ``bases.html``).

    Parameters
    ----------
    path : Path
        Where to; .html.
    bases : Bases
        Of any age; what it does not tell is shown as unknown.
    file : Path, optional
        Where the basis is: its sha256 is shown, by which labels name it, and a link to it if it lies beside the page.
    pictures : BasisPictures, optional
        Of this basis; what they hold is not drawn again.

    Raises
    ------
    SchemaError
        If there is no such `file`.
    OutputError
        If the page cannot be written.
    """
    beside = [path.with_suffix(f".{name}{suffix}") for name in _SHEETS for suffix in (".png", ".pdf", ".svg")]
    beside = [sheet for sheet in beside if sheet.is_file()]
    file_hash = None
    if file is not None:
        file_hash = bases_fingerprint(file)
        if file.parent.absolute() == path.parent.absolute():
            beside.insert(0, file)
    html = bases_page(
        bases,
        files=[f.name for f in beside],
        file_name=file.name if file else None,
        file_hash=file_hash,
        pictures=pictures,
    )
    write_bytes(path, html.encode())


def bases_page(
    bases: Bases,
    *,
    files: Sequence[str] = (),
    file_name: str | None = None,
    file_hash: str | None = None,
    pictures: BasisPictures | None = None,
) -> str:
    """Return the page as HTML; equal bases give equal text.

    Parameters
    ----------
    bases : Bases
        What to show.
    files : sequence of str
        Names of files beside the page, which it links to.
    file_name, file_hash : str, optional
        Of the basis.
    pictures : BasisPictures, optional
        Of this basis.
    """
    basis = summarise_basis(bases)
    pictures = pictures or BasisPictures(bases)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"known": _known, "count": _count, "short_hash": _short_hash}
    stops = [HEAT[round(i * (len(HEAT) - 1) / 12)] for i in range(13)]
    return environment.get_template("bases.html.j2").render(
        title=f"Face basis: {bases.k_au} AU components, {bases.k_id} identity components",
        made_of=_made_of(basis),
        demo=bases.is_demo,
        # "./" keeps a name with a colon from being read as another scheme
        files=[(name, "./" + quote(name)) for name in files],
        file_name=file_name or "basis",
        file_hash=file_hash,
        basis=basis,
        facts=_facts(basis),
        objective=_curve(basis["objective"], basis["first_epoch"]),
        sd=f"{SHOWN_SD:g}",
        gradient=", ".join("#" + "".join(f"{round(255 * c):02x}" for c in stop) for stop in stops),
        components=[_component(pictures, k, entry) for k, entry in enumerate(basis["components"])],
        people=[_person(pictures, k, basis["variance_explained_id"]) for k in range(-1, bases.k_id)],
    )


def _made_of(basis: dict[str, Any]) -> str:
    corpora = basis["corpora"]
    if not corpora:
        return "Subjects, sequences and frames: unknown"
    counts = []
    for thing in ("subjects", "sequences", "frames"):
        known = [corpus[thing] for corpus in corpora if corpus[thing] is not None]
        complete = len(known) == len(corpora)
        counts.append(f"{_count(sum(known)) if complete else UNKNOWN} {thing}")
    return f"Learned from {', '.join(counts)}"


def _facts(basis: dict[str, Any]) -> list[tuple[str, str]]:
    variance = basis["variance_explained_id"]
    head, landmarks = basis["coherence"]["head"], basis["coherence"]["landmarks"]
    condition = f"infinite: {basis['rank_landmarks']} of {basis['k_au']} can be told apart"
    if basis["condition_landmarks"] is not None:
        condition = f"{basis['condition_landmarks']:.4g}"
    settings = ", ".join(f"{name} {value:g}" for name, value in basis["settings"].items() if value is not None)
    return [
        ("kind", _known(basis["basis_kind"])),
        ("method of the AU components", _known(basis["method"])),
        ("codes", _known(basis["codes"])),
        ("settings", settings or UNKNOWN),
        ("vertices, triangles", f"{_count(basis['vertices'])}, {_count(basis['triangles'])}"),
        ("variance explained, identity", _percent(variance[-1] if variance else None)),
        ("variance explained, AU", _percent(basis["variance_explained_au"])),
        ("codes that are zero", _percent(basis["sparsity"])),
        ("all motion, rms", _unit(basis["rms_offset_mm"], "mm")),
        ("cut off before learning, rms", _unit(basis["truncation_rms_mm"], "mm")),
        ("left by the components, rms", _unit(basis["residual_rms_mm"], "mm")),
        ("coherence over the head, largest |cos|", _plain(head["max"])),
        ("coherence over the head, mean |cos|", _plain(head["mean"])),
        ("coherence at the landmarks, largest |cos|", _plain(landmarks["max"])),
        ("coherence at the landmarks, mean |cos|", _plain(landmarks["mean"])),
        ("condition number at the landmarks", condition),
        ("left of mirrored components", _percent(basis["mirror_error"])),
    ]


def _component(pictures: BasisPictures, k: int, entry: dict[str, Any]) -> dict[str, Any]:
    heat = pictures.component(k, entry["side"], _HEIGHT)
    mirror = "itself" if entry["partner"] == entry["name"] else entry["partner"] or "none"
    found = entry["action_units"]
    return {
        "name": entry["name"],
        "where": where_words(entry["region"], entry["side"]),
        "mirror": f"{mirror} ({entry['mirror_cosine']:.2f})",
        "energy": _percent(entry["energy"]),
        "support": _percent(entry["support"]),
        "peak": _unit(entry["peak_mm"], "mm"),
        "std_factor": _plain(entry["std_factor"], ".2f"),
        "action_units": [
            {"au": value["au"], "r": _plain(value["r"], ".2f"), "n": _count(value["n"])} for value in found or ()
        ],
        "no_action_units": UNKNOWN if found is None else "none",
        "picture": _image(heat.picture),
        "largest": _unit(heat.largest_mm, "mm"),
    }


def _person(pictures: BasisPictures, k: int, variance: list[float] | None) -> dict[str, Any]:
    if k < 0:
        mean = _image(pictures.identity(None, 0, _HEIGHT))
        return {"name": "Mean head", "detail": "", "pictures": [("mean", mean, None)]}
    heads = [(sd_words(a), pictures.identity(k, a, _HEIGHT), None) for a in (-SHOWN_SD, SHOWN_SD)]
    heat = pictures.identity_heat(k, _HEIGHT)
    drawn = [*heads, ("displacement", heat.picture, _unit(heat.largest_mm, "mm"))]
    detail = ""
    if variance is not None and k < len(variance):
        detail = f"variance explained up to here {_percent(variance[k])}"
    images = [(label, _image(picture), largest) for label, picture, largest in drawn]
    return {"name": f"Identity {k + 1}", "detail": detail, "pictures": images}


def _curve(values: list[float] | None, first_epoch: int) -> dict[str, Any] | None:
    """Return the places of a falling curve in a drawing of 600 x 220."""
    if not values or len(values) < 2:
        return None
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    points = [
        (round(70 + 520 * i / (len(values) - 1), 1), round(30 + 150 * (high - value) / spread, 1))
        for i, value in enumerate(values)
    ]
    return {
        "points": points,
        "epochs": (first_epoch, first_epoch + len(values) - 1),
        "first": f"{values[0]:.4g}",
        "last": f"{values[-1]:.4g}",
        "y_first": points[0][1],
        "y_last": points[-1][1],
        "labels_apart": abs(points[0][1] - points[-1][1]) > 14,
    }


def _image(picture: NDArray[Any]) -> dict[str, Any]:
    address = "data:image/webp;base64," + base64.b64encode(webp(picture)).decode()
    return {"address": address, "width": round(picture.shape[1] * _SHOWN / _HEIGHT), "height": _SHOWN}


def _known(value: str | None) -> str:
    return value or UNKNOWN


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}".replace(",", "\u202f")


def _plain(value: float | None, form: str = ".3g") -> str:
    return UNKNOWN if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.3g}\u202f%"


def _unit(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:.3g}\u202f{unit}"


def _short_hash(text: str) -> str:
    """Shorten long runs of hex digits.

    Examples
    --------
    >>> _short_hash("sha256:" + 64 * "a")
    'sha256:aaaaaaaaaaaa'
    """
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}", r"\1", text)
