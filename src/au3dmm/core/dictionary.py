"""Learn a dictionary: few atoms, of which each row needs only some (DESIGN section 4, the AU-3DMM).

Minimised is ``(1/n) sum_i 1/2 |x_i - a_i D|^2 + l1 |a_i|_1 + l2 |a_i|^2`` with ``|d_k| <= 1``, and ``a_i >= 0`` unless
signed codes are asked for: Mairal et al. 2010 (their eq. 7, elastic net as in SPAMS), by alternating full passes, not
online: codes by coordinate descent from where they were, then atoms by block coordinate descent (their alg. 2) on sums
over all rows. Neither step can raise the objective, and nothing depends on the order of rows.

Alternation ends in the nearest local minimum, so the search for a good one comes first: twice as many atoms as asked
for, of which those that can be spared are dropped little by little. Of 30 true action units that found 28 instead of
24 (docs/benchmarks.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.atom_search import first_atoms, kept_atoms
from au3dmm.core.mirrored_atoms import pair_up, spare, swapped_sums
from au3dmm.core.sparse_codes import encode_products
from au3dmm.core.threads import blocks, ordered_map, single_threaded_blas
from au3dmm.errors import FitError

_SEARCH_ROWS = 16_384
_SEARCH_WARM, _SEARCH_ROUNDS, _SEARCH_EPOCHS = 6, 16, 2
_ATOM_SWEEPS = 5
_TOLERANCE, _SWEEPS = 1e-4, 50
_MIXTURE_WEIGHT = 0.1
_DEAD = 1e-10  # share of the rows' energy below which an atom is unused
_SUM_ROWS = 8192


@dataclass(frozen=True)
class Dictionary:
    """Atoms, and the codes of the rows they were learnt from.

    Attributes
    ----------
    atoms : (K, D) float64 array
        Unit norm; by falling energy. D is that of `directions` if given, otherwise of the rows.
    codes : (n, K) array
        In the unit of the rows.
    objective : tuple of float
        Over all rows, after each epoch, the last one of what is returned (with `locality`: before the atoms, which it
        shortens, are scaled to norm 1). It falls; starting an unused atom again may raise it once.
    restarted : int
        Times that an unused atom was started again, in the first half of the epochs.
    partner : (K,) int array, optional
        Of atoms that were learnt from mirrored rows, too: which is whose mirror image; some are their own.
    """

    atoms: NDArray[np.float64]
    codes: NDArray[np.floating]
    objective: tuple[float, ...]
    restarted: int
    partner: NDArray[np.int64] | None = None

    @property
    def energy(self) -> NDArray[np.float64]:
        """(K,) sum of squares of each atom's codes: the energy it puts in; of partners, the mean of both."""
        energy = np.einsum("ij,ij->j", self.codes, self.codes, dtype=np.float64)
        return np.asarray(energy if self.partner is None else (energy + energy[self.partner]) / 2)

    def sorted(self) -> Dictionary:
        """Return it with atoms by falling energy; partners, which have the same, stay in their order."""
        order = np.argsort(-self.energy, kind="stable")
        partner = None if self.partner is None else np.argsort(order)[self.partner[order]]
        codes = np.ascontiguousarray(self.codes[:, order])
        return Dictionary(self.atoms[order], codes, self.objective, self.restarted, partner)


@dataclass
class _State:
    """Atoms in the making: `full` is kept only where atoms are made sparse over vertices."""

    atoms: NDArray[np.float64]
    full: NDArray[np.float64] | None
    codes: NDArray[np.floating]
    partner: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class _Problem:
    rows: NDArray[np.floating]
    energy: float  # mean of 1/2 |x|^2
    l1: float
    l2: float
    nonnegative: bool
    workers: int
    directions: NDArray[np.floating] | None = None
    mu: float = 0.0
    parity: NDArray[np.floating] | None = None
    mirrored: Callable[[NDArray[np.floating]], NDArray[np.floating]] | None = None


def learn_dictionary(
    rows: NDArray[np.floating],
    k: int,
    l1: float,
    l2: float = 0.0,
    *,
    nonnegative: bool = True,
    epochs: int = 20,
    overcomplete: float = 2.0,
    seed: int = 0,
    workers: int = 1,
    directions: NDArray[np.floating] | None = None,
    locality: float = 0.0,
    parity: NDArray[np.floating] | None = None,
    mirrored: Callable[[NDArray[np.floating]], NDArray[np.floating]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dictionary:
    """Learn `k` atoms.

    Parameters
    ----------
    rows : (n, R) array
        What is to be explained, float32 or float64, uncentred: a row of zeros is the neutral face.
    k : int
        Number of atoms, at most n.
    l1, l2 : float
        Penalties; l1 in the unit of the rows.
    nonnegative : bool
        Whether codes may not be negative: an action unit activates, it does not un-activate.
    epochs : int
        Passes over all rows, after the search.
    overcomplete : float
        The search starts with this many times k atoms; 1 means no search.
    seed : int
        Of the first atoms. The result does not depend on `workers`.
    workers : int
        Threads.
    directions : (R, D) array, optional
        Orthonormal; rows are coordinates along them (`reduction`), and atoms are returned in D dimensions.
    locality : float
        With `directions`: adds ``mu sum_kv |d_kv|`` over the vertices v (three columns each), which empties vertices
        (as SPLOCS does: Neumann et al. 2013, without its weights of distance). mu is this share of the rows' mean
        square, per root of the number of vertices.
    parity : (R,) array, optional
        1 or -1: what turns rows into those of the mirrored face. Rows are then taken twice, as they are and mirrored,
        and with codes >= 0 the mirror image of each atom is an atom (`mirrored_atoms`); with signed codes not quite.
    mirrored : callable, optional
        The same for atoms in D dimensions; needed with `parity` and `locality`.
    progress : callable, optional
        Told (epochs done, epochs in all).

    Raises
    ------
    FitError
        If the rows do not support k atoms, hold values that are not finite, or a parameter is out of range.
    """
    _check(rows, k, l1, l2, epochs, overcomplete, locality, directions)
    if parity is not None and parity.shape != (rows.shape[1],):
        raise FitError(f"dictionary: parity {parity.shape} for rows {rows.shape}; expected one per column")
    if parity is not None and locality and mirrored is None:
        raise FitError("dictionary: locality and parity need a function that mirrors atoms")
    n_rows = len(rows)
    if parity is not None and not nonnegative:  # a sign is arbitrary, and so would partners' be
        rows, parity = np.concatenate([rows, rows * parity.astype(rows.dtype)]), None
    rng = np.random.default_rng(seed)
    mean_square = float(np.einsum("ij,ij->", rows, rows, dtype=np.float64)) / len(rows)
    mu = 0.0
    if locality and directions is not None:
        mu = locality * mean_square / np.sqrt(directions.shape[1] / 3)
    along = directions if mu else None
    problem = _Problem(rows, mean_square / 2, l1, l2, nonnegative, workers, along, mu, parity, mirrored)
    rounds = _SEARCH_WARM + _SEARCH_ROUNDS * _SEARCH_EPOCHS if overcomplete > 1 else 0
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, rounds + epochs + 1)

    restarted = 0
    with single_threaded_blas():
        state = _search(problem, k, overcomplete, rng, tick)
        objective = []
        for epoch in range(epochs):
            objective.append(_code(problem, state))
            usage = _move_atoms(problem, state)
            if epoch < epochs // 2:  # what no row has used by then is not needed
                restarted += _restart(problem, state, usage)
            tick()
        objective.append(_code(problem, state, tolerance=1e-6, sweeps=1000))
        tick()
        atoms, codes = _finished(problem, state, directions)
    found = Dictionary(atoms, codes, tuple(objective), restarted, state.partner).sorted()
    return found if len(codes) == n_rows else dataclasses.replace(found, codes=found.codes[:n_rows])


def objective(
    rows: NDArray[np.floating], atoms: NDArray[np.floating], codes: NDArray[np.floating], l1: float, l2: float = 0.0
) -> float:
    """Return ``(1/n) sum_i 1/2 |x_i - a_i D|^2 + l1 |a_i|_1 + l2 |a_i|^2``, in float64."""
    a = codes.astype(np.float64)
    residual = rows.astype(np.float64) - a @ atoms.astype(np.float64)
    total = 0.5 * (residual**2).sum() + l1 * np.abs(a).sum() + l2 * (a**2).sum()
    return float(total / len(rows))


def _search(
    problem: _Problem, k: int, overcomplete: float, rng: np.random.Generator, tick: Callable[[], None]
) -> _State:
    rows = problem.rows
    step = -(-len(rows) // _SEARCH_ROWS)
    few = np.ascontiguousarray(rows[::step]) if step > 1 and len(rows[::step]) >= k else rows
    mean_square = float(np.einsum("ij,ij->", few, few, dtype=np.float64)) / len(few)
    small = dataclasses.replace(problem, rows=few, energy=mean_square / 2, directions=None, mu=0.0)
    many = min(int(np.ceil(overcomplete * k)), max(k, len(few) // 2))
    partner = None
    if problem.parity is None:
        atoms = first_atoms(few, many, problem.nonnegative, rng)
    else:
        picks = many if many > k else -(-k // 2)
        atoms, partner = pair_up(first_atoms(few, picks, True, rng, problem.parity), problem.parity, many)
    state = _State(atoms, None, np.zeros((len(few), len(atoms)), rows.dtype), partner)

    def run(epochs: int) -> None:
        for _ in range(epochs):
            _code(small, state)
            _move_atoms(small, state)
            tick()

    if overcomplete > 1:
        run(_SEARCH_WARM)
        for left in range(_SEARCH_ROUNDS, 0, -1):
            _drop(small, state, -(-(len(state.atoms) - k) // left))
            run(_SEARCH_EPOCHS)
    codes = state.codes if few is rows else np.zeros((len(rows), k), rows.dtype)
    full = None
    if problem.directions is not None:
        full = state.atoms @ problem.directions.astype(np.float64)
    return _State(state.atoms, full, codes, state.partner)


def _drop(problem: _Problem, state: _State, count: int) -> None:
    if count <= 0:
        return
    if state.partner is not None and problem.parity is not None:
        state.atoms, state.codes, state.partner = spare(
            state.atoms, state.codes, state.partner, problem.parity, count, problem.l1, _MIXTURE_WEIGHT
        )
        return
    keep = kept_atoms(state.atoms, state.codes, count, problem.l1, problem.nonnegative, _MIXTURE_WEIGHT)
    state.atoms = state.atoms[keep]
    state.codes = np.ascontiguousarray(state.codes[:, keep])


def _code(problem: _Problem, state: _State, tolerance: float = _TOLERANCE, sweeps: int = _SWEEPS) -> float:
    """Code all rows from where their codes are; return the objective."""
    rows = problem.rows
    turned = np.ascontiguousarray(state.atoms.T, rows.dtype)
    source = state.atoms if state.full is None else state.full
    gram = source @ source.T
    for j in np.flatnonzero(np.diag(gram) == 0):  # emptied by locality: it takes no part
        state.codes[:, j] = 0
        gram[j, j] = 1
    gain = encode_products(
        lambda part: rows[part] @ turned,
        gram,
        state.codes,
        problem.l1,
        problem.l2,
        nonnegative=problem.nonnegative,
        sweeps=sweeps,
        tolerance=tolerance,
        workers=problem.workers,
    )
    penalty = 0.0 if state.full is None else problem.mu * float(_vertex_norms(state.full).sum())
    return problem.energy + float(gain.mean()) + penalty


def _sums(problem: _Problem, codes: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean codes'codes (K, K) and codes'rows (K, R), summed in a fixed order."""

    def part(rows: slice) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        a = codes[rows]
        return a.T @ a, a.T @ problem.rows[rows]

    square = np.zeros((codes.shape[1], codes.shape[1]))
    cross = np.zeros((codes.shape[1], problem.rows.shape[1]))
    for s, c in ordered_map(part, blocks(len(codes), _SUM_ROWS), problem.workers):
        square += s
        cross += c
    return square / len(codes), cross / len(codes)


def _move_atoms(problem: _Problem, state: _State) -> NDArray[np.float64]:
    """Minimise over the atoms, one after another, within the unit ball; return their mean squared codes."""
    square, cross = _sums(problem, state.codes)
    if state.partner is not None and problem.parity is not None:
        square, cross = swapped_sums(square, cross, state.partner, problem.parity)
    used = np.diag(square) > _DEAD * problem.energy
    atoms = state.atoms if state.full is None else state.full
    if state.full is not None and problem.directions is not None:
        cross = cross @ problem.directions.astype(np.float64)
    for _ in range(_ATOM_SWEEPS):
        for j in np.flatnonzero(used):
            best = atoms[j] + (cross[j] - square[j] @ atoms) / square[j, j]
            if state.full is not None:
                best = _shrink(best, problem.mu / square[j, j])
            atoms[j] = best / max(1.0, float(np.linalg.norm(best)))
    if state.partner is not None and problem.parity is not None:
        flip = problem.mirrored if state.full is not None and problem.mirrored is not None else problem.parity.__mul__
        atoms[:] = (atoms + flip(atoms[state.partner])) / 2
    if state.full is None:
        # a shorter atom with larger codes says the same and pays more: the objective can only fall
        norm = np.linalg.norm(atoms, axis=1)
        scale = np.where(used & (norm > 0), norm, 1.0)
        atoms /= scale[:, None]
        state.codes *= scale.astype(state.codes.dtype)
    elif problem.directions is not None:
        state.atoms = state.full @ problem.directions.T.astype(np.float64)
    return np.diag(square)


def _restart(problem: _Problem, state: _State, mean_square: NDArray[np.float64]) -> int:
    """Start unused atoms again along the rows of which most is left unexplained; return how many."""
    gone = ~state.atoms.any(1)  # locality can empty all vertices of an atom that is hardly needed
    unused = np.flatnonzero((mean_square <= _DEAD * problem.energy) | gone)
    if not len(unused):
        return 0
    left = problem.rows - state.codes @ state.atoms.astype(state.codes.dtype)
    energy = np.einsum("ij,ij->i", left, left, dtype=np.float64)
    count = 0
    if state.partner is not None:
        unused = unused[unused <= state.partner[unused]]  # partners are started together
    for j, row in zip(unused, np.argsort(-energy, kind="stable"), strict=False):
        if not energy[row] > 0:
            break
        atom = left[row].astype(np.float64) / np.sqrt(energy[row])
        again = [(int(j), atom)]
        if state.partner is not None and problem.parity is not None:
            partner, image = int(state.partner[j]), atom * problem.parity
            if partner == j:
                both = atom + image
                again = [(int(j), both / max(float(np.linalg.norm(both)), 1e-12))]
            else:
                again.append((partner, image))
        for number, start in again:
            state.atoms[number] = start
            if state.full is not None and problem.directions is not None:
                state.full[number] = start @ problem.directions.astype(np.float64)
            state.codes[:, number] = 0
            count += 1
    return count


def _vertex_norms(atoms: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(atoms.reshape(len(atoms), -1, 3), axis=2))


def _shrink(atom: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    vertices = atom.reshape(-1, 3)
    norm = np.linalg.norm(vertices, axis=1)
    return np.asarray((vertices * np.maximum(0, 1 - threshold / np.maximum(norm, 1e-300))[:, None]).ravel())


def _finished(
    problem: _Problem, state: _State, directions: NDArray[np.floating] | None
) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
    """Return atoms of unit norm, and their codes; signed codes of an atom sum to 0 or more."""
    atoms = state.atoms if state.full is None else state.full
    norm = np.linalg.norm(atoms, axis=1)
    scale = np.where(norm > 0, norm, 1.0)
    atoms, codes = atoms / scale[:, None], state.codes * scale.astype(state.codes.dtype)
    if not problem.nonnegative:
        sign = np.where(codes.sum(0, dtype=np.float64) < 0, -1.0, 1.0)
        atoms, codes = atoms * sign[:, None], codes * sign.astype(codes.dtype)
    if state.full is None and directions is not None:
        atoms = atoms @ directions.astype(np.float64)
    return atoms, codes


def _check(
    rows: NDArray[np.floating],
    k: int,
    l1: float,
    l2: float,
    epochs: int,
    overcomplete: float,
    locality: float,
    directions: NDArray[np.floating] | None,
) -> None:
    if rows.ndim != 2 or not 1 <= k <= len(rows):
        raise FitError(f"dictionary: {k} atoms from rows {rows.shape}; expected 1 to {len(rows)} atoms")
    if not np.isfinite(rows).all():
        raise FitError("dictionary: rows hold values that are not finite")
    if l1 < 0 or l2 < 0 or epochs < 1 or overcomplete < 1 or locality < 0:
        raise FitError(
            f"dictionary: l1 = {l1}, l2 = {l2}, epochs = {epochs}, overcomplete = {overcomplete}, locality ="
            f" {locality}; expected penalties of 0 or more, and at least 1 of the others"
        )
    if directions is not None and (directions.ndim != 2 or len(directions) != rows.shape[1]):
        raise FitError(f"dictionary: directions {directions.shape} for rows {rows.shape}; expected (R, D)")
    if locality and (directions is None or directions.shape[1] % 3):
        raise FitError("dictionary: locality needs the directions of a reduction, three columns per vertex")
