"""How well and how fast the two morphable models are learnt, beside scikit-learn (and spams, if it is installed).

    python benchmarks/bases.py ../shared/data/ict_facekit.npz [--frames 20000] [--large 123000] [--quick]

Four tables: how many of 30 true action units are found (K = 32); one run on as many frames as VOCASET has, from a file;
the objective beside scikit-learn's on the same penalty; and how models of ever more components carry over to people
they were not learnt from. `--quick` leaves out scikit-learn's slow runs and the large one.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from ict_offsets import N_VERTICES, IctOffsets
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA, MiniBatchDictionaryLearning, sparse_encode

from au3dmm.core.dictionary import learn_dictionary
from au3dmm.core.pca import fit_pca
from au3dmm.core.reduction import Reduction, reduce_rows
from au3dmm.core.sparse_codes import encode

K, SPARSITY, RANK = 32, 0.02, 128
BLOCK = (48 << 20) // (12 * N_VERTICES)  # as the stage reads
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ict", type=Path)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=123_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="Where offsets are written.")
    parser.add_argument("--large-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    if options.large_only is not None:
        large_run(np.load(options.large_only, mmap_mode="r"), IctOffsets(options.ict).truth)
        return
    source = IctOffsets(options.ict)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = source.write(Path(folder) / "offsets.npy", options.frames)
        warm_up()
        recovery(rows, source.truth, options.quick)
        if not options.quick:
            file = Path(folder) / "large.npy"
            source.write(file, options.large)
            # a process of its own, so that its memory is its own
            again = [sys.executable, __file__, str(options.ict), "--large-only", str(file)]
            subprocess.run(again, check=True)
    held_out_motion(source, options.frames)
    held_out_people(options.ict)


def reduce(rows: np.ndarray, rank: int = RANK) -> Reduction:
    cuts = [(i, min(i + BLOCK, len(rows))) for i in range(0, len(rows), BLOCK)]

    def read(block: int, stride: int) -> np.ndarray:
        return np.array(rows[cuts[block][0] : cuts[block][1] : stride])

    return reduce_rows(read, [b - a for a, b in cuts], rows.shape[1], rank, workers=WORKERS)


def warm_up() -> None:
    """Let numba compile."""
    for kind in (np.float32, np.float64):
        rows = np.random.default_rng(0).normal(size=(300, 16)).astype(kind)
        for nonnegative in (True, False):
            learn_dictionary(rows, 4, 0.1, epochs=1, nonnegative=nonnegative)


def found(atoms: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Return mean |cos| of atoms matched to the true shapes, and how many are above 0.8."""
    a = atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-12)
    t = truth.reshape(len(truth), -1)
    cosine = np.abs(a @ (t / np.linalg.norm(t, axis=1, keepdims=True)).T)
    i, j = linear_sum_assignment(-cosine)
    return float(cosine[i, j].mean()), int((cosine[i, j] > 0.8).sum())


def rms_mm(rows: np.ndarray, codes: np.ndarray, atoms: np.ndarray) -> float:
    total = 0.0
    for i in range(0, len(rows), 4096):
        total += float(((rows[i : i + 4096] - codes[i : i + 4096] @ atoms) ** 2).sum(dtype=np.float64))
    return 1e3 * float(np.sqrt(total / len(rows) / N_VERTICES))


def left_by_span_mm(rows: np.ndarray, atoms: np.ndarray) -> float:
    """Return what the best combinations of the atoms leave (least squares, without sign or penalty)."""
    axes = np.linalg.qr(atoms.T.astype(np.float64))[0].astype(np.float32)
    return rms_mm(rows, rows @ axes, axes.T)


def support(atoms: np.ndarray) -> float:
    energy = np.sort((atoms.reshape(len(atoms), -1, 3) ** 2).sum(2), axis=1)[:, ::-1]
    return float(((np.cumsum(energy, 1) / energy.sum(1, keepdims=True)) < 0.95).sum(1).mean() / energy.shape[1])


def line(name: str, seconds: float, rows: np.ndarray, codes: np.ndarray, atoms: np.ndarray, truth: np.ndarray) -> None:
    some = np.linspace(0, len(rows) - 1, 2000).astype(int)
    cosine, count = found(atoms, truth)
    few = np.asarray(rows[some])
    best = left_by_span_mm(few, atoms)
    print(
        f"{name:44} {seconds:7.1f} {rms_mm(rows, codes, atoms):7.3f} {best:7.3f}"
        f" {(codes == 0).mean():6.2f} {support(atoms):8.3f} {cosine:7.3f} {count:4d}/{len(truth)}",
        flush=True,
    )


def recovery(rows: np.ndarray, truth: np.ndarray, quick: bool) -> None:
    energy = float((np.asarray(rows[::10]) ** 2).sum(1).mean())
    scale = float(np.sqrt(energy))
    size = scale * 1e3 / np.sqrt(N_VERTICES)
    print(f"\n{len(rows)} frames of {rows.shape[1]} columns, offsets of {size:.2f} mm (rms), K = {K}, l1 = {SPARSITY}")
    print(f"{'method':44} {'seconds':>7} {'coded':>7} {'lsq':>7} {'zeros':>6} {'support':>8} {'|cos|':>7} {'> 0.8':>7}")
    began = time.perf_counter()
    pca = PCA(K, svd_solver="randomized", random_state=0).fit(rows)
    seconds = time.perf_counter() - began
    codes = np.asarray(rows) @ pca.components_.T
    line("scikit-learn PCA", seconds, rows, codes, pca.components_, truth)
    began = time.perf_counter()
    reduction = reduce(rows)
    reducing = time.perf_counter() - began
    print(f"{'(our reduction to ' + str(RANK) + ' dimensions)':44} {reducing:7.1f}", flush=True)
    cosines, counts, times = [], [], []
    signed = None
    variants = [("ours, non-negative", {}, seed) for seed in range(5)]
    variants += [("ours, localised", {"locality": 3e-4}, 0), ("ours, signed", {"nonnegative": False}, 0)]
    variants += [("ours, non-negative, without the search", {"overcomplete": 1}, 0)]
    for name, options, seed in variants:
        began = time.perf_counter()
        learnt = learn_dictionary(
            reduction.coordinates, K, SPARSITY * scale, seed=seed, workers=WORKERS, directions=reduction.directions,
            **options,
        )  # fmt: skip
        seconds = reducing + time.perf_counter() - began
        atoms = learnt.atoms.astype(np.float32)
        line(f"{name}, seed {seed}", seconds, rows, learnt.codes, atoms, truth)
        if not options:
            cosine, count = found(atoms, truth)
            cosines.append(cosine)
            counts.append(count)
            times.append(seconds)
        if options == {"nonnegative": False}:
            signed = atoms
    print(f"ours, non-negative, mean of 5 seeds: |cos| {np.mean(cosines):.3f}, above 0.8: {np.mean(counts):.1f}"
          f" (least {min(counts)})")  # fmt: skip
    if quick or signed is None:
        return
    alpha = SPARSITY * scale
    began = time.perf_counter()
    peer = MiniBatchDictionaryLearning(
        n_components=K, alpha=alpha, batch_size=512, max_iter=10, tol=0, max_no_improvement=None, fit_algorithm="cd",
        random_state=0,
    ).fit(rows)  # fmt: skip
    fitted = time.perf_counter() - began
    codes = sparse_encode(rows, peer.components_, algorithm="lasso_cd", alpha=alpha)
    seconds = time.perf_counter() - began
    line("scikit-learn MiniBatchDictionaryLearning", seconds, rows, codes, peer.components_, truth)
    print(f"  of which fitting {fitted:.1f} s; ours is {seconds / np.mean(times):.1f} times faster with coding,"
          f" {fitted / np.mean(times):.1f} times without scikit-learn's coding")  # fmt: skip
    spams(reduction, reducing, rows, alpha, truth)
    print("\nsigned, l2 = 0, same l1; both coded on all rows by scikit-learn's lasso (coordinate descent)")
    for name, atoms in (("scikit-learn", peer.components_), ("ours", signed)):
        unit = atoms / np.maximum(1, np.linalg.norm(atoms, axis=1, keepdims=True))
        codes = sparse_encode(rows, unit, algorithm="lasso_cd", alpha=alpha, max_iter=5000)
        left = sum(
            0.5 * float(((rows[i : i + 4096] - codes[i : i + 4096] @ unit) ** 2).sum(dtype=np.float64))
            for i in range(0, len(rows), 4096)
        )
        value = (left + alpha * float(np.abs(codes).sum(dtype=np.float64))) / len(rows)
        print(f"  {name:14} objective {value:.6e} m^2, {value / energy:.5f} of the mean square offset", flush=True)


def spams(reduction: Reduction, reducing: float, rows: np.ndarray, alpha: float, truth: np.ndarray) -> None:
    try:
        import spams
    except ImportError:
        print("spams is not installed (GPL; for comparison only)")
        return
    scale = alpha / SPARSITY
    z = np.asfortranarray((reduction.coordinates / scale).T.astype(np.float64))
    options = {"lambda1": SPARSITY, "mode": 2, "numThreads": WORKERS}
    began = time.perf_counter()
    atoms = spams.trainDL(z, K=K, iter=2000, batchsize=512, verbose=False, **options)
    codes = spams.lasso(z, D=np.asfortranarray(atoms), **options).toarray().T * scale
    seconds = reducing + time.perf_counter() - began
    line("spams trainDL on our reduction, signed", seconds, rows, codes, atoms.T @ reduction.directions, truth)


def large_run(rows: np.ndarray, truth: np.ndarray) -> None:
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            words = Path("/proc/self/status").read_text().split()
            most[0] = max(most[0], int(words[words.index("RssAnon:") + 1]))

    warm_up()
    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    reduction = reduce(rows)
    reduced = time.perf_counter()
    scale = float(np.sqrt(reduction.energy / len(rows)))
    learnt = learn_dictionary(
        reduction.coordinates, K, SPARSITY * scale, workers=WORKERS, directions=reduction.directions
    )
    done = time.perf_counter()
    stop.set()
    watcher.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cosine, count = found(learnt.atoms, truth)
    print(
        f"\n{len(rows)} x {rows.shape[1]} float32 from a file of {rows.nbytes / 1e9:.1f} GB, K = {K}, {WORKERS} threads"
    )
    print(f"  {done - began:.1f} s: reduction {reduced - began:.1f}, dictionary and codes {done - reduced:.1f}")
    print(f"  anonymous memory {most[0] / 2**20:.2f} GiB at most (with mapped file pages {peak:.1f} GiB)")
    print(f"  |cos| {cosine:.3f}, {count}/{len(truth)} above 0.8", flush=True)


def held_out_motion(source: IctOffsets, n: int) -> None:
    """Learn on 16 actors (8 speakers), code the other 6."""
    train, test = [], []
    for actor, x in source.takes(n):
        (test if actor % 11 in (3, 6, 9) else train).append(x)
    rows, rest = np.concatenate(train), np.concatenate(test)
    scale = float(np.sqrt((rows**2).sum(1).mean()))
    size = 1e3 * float(np.sqrt((rest**2).sum(1).mean() / N_VERTICES))
    print(f"\noffsets of 6 actors that were not learnt from: {size:.2f} mm (rms); what is left, mm")
    print(f"{'K':>4} {'dictionary, coded':>18} {'dictionary, lsq':>16} {'localised, lsq':>15} {'PCA':>7}")
    rank = 272
    reduction = reduce(rows, rank)
    for k in (16, 32, 64, 128, 256):
        cells = []
        for options in ({}, {"locality": 3e-4}):
            learnt = learn_dictionary(
                reduction.coordinates, k, SPARSITY * scale, workers=WORKERS, directions=reduction.directions, **options
            )
            atoms = learnt.atoms.astype(np.float32)
            if not options:
                cells.append(rms_mm(rest, encode(rest, atoms, SPARSITY * scale, workers=WORKERS), atoms))
            cells.append(left_by_span_mm(rest, atoms))
        axes = reduction.directions[:k]
        cells.append(rms_mm(rest, rest @ axes.T, axes))
        print(f"{k:4d} {cells[0]:18.3f} {cells[1]:16.3f} {cells[2]:15.3f} {cells[3]:7.3f}", flush=True)


def held_out_people(path: Path) -> None:
    """Learn the identity model on n people, measure on 50 others: generalisation and specificity (Styner 2003)."""
    modes = np.load(path)["identity"][:, :9409].astype(np.float64).reshape(100, -1) * 10  # mm
    rng = np.random.default_rng(0)
    others = rng.standard_normal((50, 100)) @ modes
    print(
        "\nidentity: mean distance of a vertex, mm: from 50 people not learnt from (generalisation), and from a random"
    )
    print("draw of the model to the nearest person learnt from (specificity); PCA of scikit-learn beside ours")
    print(f"{'people':>6} {'K':>4} {'generalisation':>15} {'specificity':>12} {'scikit-learn, generalisation':>29}")

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm((a - b).reshape(*np.broadcast(a, b).shape[:-1], -1, 3), axis=-1).mean(-1)

    for n in (22, 100, 300):
        people = rng.standard_normal((n, 100)) @ modes
        for k in [k for k in (5, 10, 21, 50, 99) if k < n]:
            ours = fit_pca(people, k)
            theirs = PCA(k, svd_solver="full").fit(people)
            near = ours.mean + (others - ours.mean) @ ours.directions.T @ ours.directions
            peer = theirs.inverse_transform(theirs.transform(others))
            drawn = ours.mean + rng.standard_normal((30, k)) * ours.stddev @ ours.directions
            nearest = np.mean([distance(people, d).min() for d in drawn])
            general, peer_general = distance(near, others).mean(), distance(peer, others).mean()
            print(f"{n:6d} {k:4d} {general:15.3f} {nearest:12.3f} {peer_general:29.3f}")


if __name__ == "__main__":
    main()
