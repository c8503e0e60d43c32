"""Draw the pictures of docs/events.md, from invented recordings only: python docs/make_pictures.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import au3dmm
from au3dmm import config as au3dmm_config
from au3dmm.core.event_frames import Windows, periodic_windows, rgb_windows, sliding_windows
from au3dmm.core.representations import REPRESENTATIONS
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, open_events, write_evt3
from au3dmm.io.images import write_image
from au3dmm.report.event_picture import colour_frame, event_sheet, full_colour
from au3dmm.synthetic.session import write_session

FOLDER = Path(__file__).parent / "pictures"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"  # told apart by colour-blind readers, too
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "au3dmm"})


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture that is the same bytes each time."""
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def windows() -> None:
    """Draw which stretch of time each event frame shows."""
    rng = np.random.default_rng(3)
    frames = np.array([26_000, 59_333, 92_666, 126_000, 159_333])
    first, last, shift = 4_000, 172_000, 0
    kinds: list[tuple[str, Windows]] = [
        ("rgb", rgb_windows(frames)),
        ("periodic\n33 ms", periodic_windows(first, last, shift, 33_000, 0.0)),
        ("periodic\n20 ms at 30/s", periodic_windows(first, last, shift, 20_000, 30.0)),
        ("sliding\n50 ms every 20 ms", sliding_windows(first, last, shift, 50_000, 20_000)),
    ]
    figure, axis = plt.subplots(figsize=(8.4, 4.6))
    events = np.sort(np.concatenate([rng.uniform(first, last, 130), rng.normal(95_000, 9_000, 90)]))
    axis.eventplot(events / 1e3, lineoffsets=6.3, linelengths=0.5, linewidths=0.5, colors=GREY)
    axis.plot(frames / 1e3, np.full(len(frames), 5.2), "v", color=ORANGE, markersize=8)
    for t in frames / 1e3:
        axis.axvline(t, color=ORANGE, linewidth=0.6, alpha=0.5)
    names = ["events", "RGB exposures"]
    places = [6.3, 5.2]
    for row, (name, found) in enumerate(kinds):
        y = 4.0 - 1.15 * row
        names.append(name)
        places.append(y)
        for k, (start, end) in enumerate(zip(found.start_us / 1e3, found.end_us / 1e3, strict=True)):
            lift = 0.22 * (k % 3) - 0.22 if row == 3 else 0.0
            height = 0.2 if row == 3 else 0.55
            axis.barh(y + lift, end - start, left=start, height=height, color=BLUE, alpha=0.35, edgecolor=BLUE)
            if row < 3:
                axis.text((start + end) / 2, y + lift, str(k), ha="center", va="center", fontsize=8)
    axis.set_yticks(places, names)
    axis.set_xlim(-12, 176)
    axis.set_xlabel("time on the event clock, ms")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    save(figure, "windows.svg")


def naive_times(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return byte and time of every event as a decoder without doubts reads them."""
    high = low = turns = 0
    places, times = [], []
    for i, word in enumerate(np.frombuffer(data[: len(data) // 2 * 2], "<u2").tolist()):
        kind = word >> 12
        if kind == 8:
            value = word & 0xFFF
            turns += high >= 2048 + value
            high, low = value, 0 if value != high else low
        elif kind == 6:
            low = word & 0xFFF
        elif kind == 2:
            places.append(2 * i)
            times.append(turns << 24 | high << 12 | low)
    return np.array(places), np.array(times)


def damage() -> None:
    """Draw what becomes of the clock of a damaged file, with doubts and without."""
    rng = np.random.default_rng(5)
    n = 12_000
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 2_000_000, n))
    events["x"], events["y"] = rng.integers(0, 640, n) // 7 * 7, rng.integers(0, 480, n)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.raw"
        write_evt3(path, events, np.zeros(0, TRIGGER_DTYPE), width=640, height=480)
        data = bytearray(path.read_bytes())
        start = data.index(b"% end\n") + 6
        words = np.frombuffer(bytes(data[start:]), "<u2").copy()
        high = np.flatnonzero(words >> 12 == 8)
        words[high[len(high) // 5]] ^= 0x0800  # one bit
        noise = slice(len(words) // 2, len(words) // 2 + 1200)
        words[noise] = rng.integers(0, 1 << 16, 1200)
        words = np.delete(words, slice(int(len(words) * 0.75), int(len(words) * 0.82)))
        data[start:] = words.tobytes()
        path.write_bytes(data)
        naive = naive_times(bytes(data[start:]))
        stream = open_events(path).stream()
        ours = np.concatenate([chunk.events.unpack()["t"] for chunk in stream])
        report = stream.report
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.3), sharex=True)
    size = len(words) * 2
    axes[0].plot(naive[0] / 1e3, naive[1] / 1e6, ".", markersize=1.5, color=ORANGE, rasterized=True)
    axes[0].set_title("every time word believed", fontsize=10)
    axes[1].plot(np.linspace(0, size, len(ours)) / 1e3, ours / 1e6, ".", markersize=1.5, color=BLUE, rasterized=True)
    axes[1].set_title("au3dmm", fontsize=10)
    for span in report.spans:
        if span.kind in ("time_gap", "time_glitch"):
            axes[1].axvline((span.first - start) / 1e3, color=GREY, linewidth=0.8, linestyle="--")
    axes[1].set_ylim(0, 2.2)
    notes = ((0.21, 0.04, "one bit of\na time word"), (0.58, 0.6, "2.4 kB\nof noise"), (0.82, 1.2, "7 % lost:\na gap"))
    for at, t, text in notes:
        axes[1].text(at * size / 1e3 + 1.5, t, text, fontsize=8)
    for axis in axes:
        axis.set_xlabel("place in the file, kB")
        axis.set_ylabel("time of the event, s")
    save(figure, "damage.svg")


def synthetic() -> None:
    """Draw what is made of the synthetic recording: its clock by both methods, and event frames of each kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_session(folder / "demo")
        for method in ("trigger", "motion"):
            result = au3dmm.label_session(folder / "demo", out=folder / method, sync=method, overlay=True)
            (FOLDER / f"clock-{method}.png").write_bytes(result.outputs["clock_picture"].read_bytes())
        pictures = []
        for representation in REPRESENTATIONS:
            params = au3dmm_config.load_pipeline(None, frames={"representation": representation})
            result = au3dmm.label_session(folder / "demo", out=folder / representation, pipeline=params)
            values = au3dmm.read_clip(result.outputs["event_frames"], 46, 1, as_float=True)[0]
            pictures.append(colour_frame(values, representation, "dark", full_colour(values, representation)))
    # five bins make the voxel grid as wide as all others together
    voxel = pictures.pop(REPRESENTATIONS.index("voxel"))
    rest = [name for name in REPRESENTATIONS if name != "voxel"]
    upper = event_sheet(pictures, rest, title="one window, 33 ms, 256 x 256 px", columns=len(rest))
    lower = event_sheet([voxel], ["voxel: five bins of time"])[34:]
    wide = max(upper.shape[1], lower.shape[1])
    rows = [np.pad(x, ((0, 0), (0, wide - x.shape[1]), (0, 0)), constant_values=250) for x in (upper, lower)]
    write_image(FOLDER / "representations.png", np.concatenate(rows))


if __name__ == "__main__":
    windows()
    damage()
    synthetic()
