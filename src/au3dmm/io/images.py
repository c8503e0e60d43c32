"""Still images: read and write PNG and JPEG, and shrink by area. RGB outside this file, OpenCV's BGR only inside."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError, SessionError, os_reason
from au3dmm.io.atomic import write_bytes

_SUFFIXES = (".png", ".jpg", ".jpeg")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB; a grey image is repeated over the three channels, transparency is dropped.

    Raises
    ------
    SessionError
        If the file is missing, unreadable, or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as err:  # more pixels than OpenCV allows, or than memory holds
        raise SessionError(f"{path}: cannot be decoded: {_reason(err)}; expected at most 2^30 pixels") from err
    if image is None:
        raise SessionError(f"{path}: not an image that can be decoded ({len(data)} bytes); expected PNG or JPEG")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def _reason(err: cv2.error) -> str:
    return " ".join(str(err.err or err).split())


def write_image(path: Path, image: NDArray[np.uint8], *, quality: int = 92) -> None:
    """Write an image atomically; the suffix says how.

    Parameters
    ----------
    path : Path
        Ends in .png (lossless), .jpg or .jpeg.
    image : (H, W, 3) or (H, W) uint8 array
        RGB, or grey.
    quality : int
        Of a JPEG, 1 to 100.

    Raises
    ------
    SchemaError
        If the array is not such an image, or the suffix is another one.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise SchemaError(
            f"{path}: images are written as {', '.join(_SUFFIXES)}, not as {path.suffix or 'no suffix'!r}"
        )
    colour = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (colour or image.ndim == 2) or not image.size:
        raise SchemaError(f"{path}: an image is uint8 (H, W, 3) or (H, W), not {image.dtype} {image.shape}")
    pixels = np.ascontiguousarray(image[..., ::-1] if colour else image)
    options = [] if path.suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(path.suffix.lower(), pixels, options)
    assert done, "OpenCV refused an image that was checked"
    write_bytes(path, data.tobytes())


def resize_area(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image so that each new pixel is the mean of the area it covers.

    Enlarging interpolates linearly, as areas below one pixel have no mean to take.

    Parameters
    ----------
    image : (H, W) or (H, W, C) uint8 array
        Any palette.
    size : (int, int)
        New height and width, px.

    Returns
    -------
    (h, w) or (h, w, C) uint8 array

    Raises
    ------
    SchemaError
        If a side of either image is empty.

    Examples
    --------
    >>> resize_area(np.array([[0, 100], [100, 200]], np.uint8), (1, 1))
    array([[100]], dtype=uint8)
    """
    height, width = size
    if height < 1 or width < 1 or not image.size:
        raise SchemaError(f"resize: an image of {image.shape} cannot become {height}x{width}")
    if (height, width) == image.shape[:2]:
        return image.copy()
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    return np.asarray(resized, np.uint8).reshape(height, width, *image.shape[2:])


def enlarge_linear(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge a picture of brightness values by linear interpolation.

    Parameters
    ----------
    image : (H, W) float32 array
        Any unit.
    size : (int, int)
        New height and width, px, at least as large.

    Returns
    -------
    (h, w) float32 array

    Raises
    ------
    SchemaError
        If a side would shrink.
    """
    if image.ndim != 2 or size[0] < image.shape[0] or size[1] < image.shape[1]:
        raise SchemaError(f"enlarge: an image of {image.shape} cannot grow to {size[0]}x{size[1]}")
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)
