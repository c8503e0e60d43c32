"""How long the networks take for one second of frames, by every way to run them (docs/benchmarks.md, docs/models.md).

    python benchmarks/models.py [--model st_vit ...] [--frames 30] [--image-px 224] [--threads 1 2] [--many 16]
                                [--ways eager export onnx] [--device cuda] [--dtype bfloat16] [--graph]

Prints tables. *floor*: floating point operations over what one large matrix product reaches here, on as many threads.
On a CPU times are of the processor (all threads together, the least of `--repeats`) and of the wall: on a busy machine
only the first says something. On a GPU, `--graph` replays a CUDA graph: without it a small network waits for Python,
not for the device.
"""

import argparse
import math
import platform
import time
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from au3dmm.models import MODELS, Network, make_model
from au3dmm.models.export import export_program, onnx_bytes, output_names

PAPER_MS = 18.8  # st_vit, 30 frames, batch 1 (FACEMORPHIC, on a GPU)
Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    frames = [name for name, kind in MODELS.items() if kind.INPUT == "frames"]
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=frames)
    parser.add_argument("--frames", type=int, default=30, help="of a chunk; 30 a second")
    parser.add_argument("--image-px", type=int, default=224)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--many", type=int, default=16, help="chunks at a time, for throughput; 0: leave it out")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--graph", action="store_true", help="as a CUDA graph, too")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    cpu = args.device == "cpu"
    device = platform.processor() or platform.machine() if cpu else torch.cuda.get_device_name(args.device)
    print(f"{device}, torch {torch.__version__}, {args.dtype}, chunks of {args.frames} frames of {args.image_px} px\n")
    dtype = getattr(torch, args.dtype)
    threads = args.threads if cpu else [1]
    peak = {n: matmul_flops(n, args.device, dtype) for n in threads}
    print("a matrix product: " + ", ".join(f"{peak[n] / 1e9:.0f} GFLOP/s" + on(n, cpu) for n in threads) + "\n")
    head = ("network", "chunks", "way", "threads", "floor, ms", "processor, ms", "wall, ms", "times real time")
    print(f"| {' | '.join(head)} | chunks/s | off by |\n|{'---|' * 10}")
    about = ["\n| network | parameters | trained | GFLOP a chunk |\n|---|---|---|---|"]
    for name in args.model:
        size = {"image_px": args.image_px} if MODELS[name].INPUT == "frames" else {}
        model = make_model(name, n_frames=args.frames, **size).eval().to(args.device, dtype)
        shape = (args.frames, 1, args.image_px, args.image_px) if size else (args.frames, 32)
        one = torch.rand(1, *shape, device=args.device, dtype=dtype)
        n, trained = (sum(p.numel() for p in model.parameters() if p.requires_grad or every) for every in (True, False))
        flops = count_flops(model.requires_grad_(False), one)
        about.append(f"| {name} | {n:,} | {trained:,} | {flops / 1e9:.2f} |")
        for batch in [1, *([args.many] if args.many else [])]:
            x = one.expand(batch, *shape).contiguous()
            for way in [*args.ways, *(["graph"] if args.graph and not cpu else [])]:
                show(name, model, x, way, {k: batch * flops / peak[k] for k in threads}, args.device, args.repeats)
    print("\n".join([*about, f"\nthe paper's st_vit, one chunk: {PAPER_MS} ms"]))


def on(threads: int, cpu: bool) -> str:
    return f" on {threads} thread{'s' if threads > 1 else ''}" if cpu else ""


def show(name: str, model: Network, x: Tensor, way: str, floor: dict[int, float], device: str, repeats: int) -> None:
    """Print a row for each number of threads; `floor` has the seconds that each takes at least."""
    cpu, batch = device == "cpu", len(x)
    for n in floor:
        torch.set_num_threads(n)
        try:
            call, off = prepare(way, model, x, n)
        except ModuleNotFoundError as err:
            print(f"| {name} | {batch} | {way} | | | not measured: no {err.name} | | | | |")
            return
        processor, wall = measured(call, device, repeats)
        each = processor if cpu and n == 1 else wall
        cells = [name, batch, way, n if cpu else "", f"{1e3 * floor[n]:.2f}"]
        cells += [f"{1e3 * processor:.1f}" if cpu else "", f"{1e3 * wall:.2f}"]
        cells += [f"{batch * x.shape[1] / 30 / each:.1f}", f"{batch / each:.1f}", f"{off:.0e}"]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def eager(model: Network, x: Tensor, _: int) -> tuple[Call, Call]:
    return (lambda: model(x)), (lambda: heads(model, x))


def exported(model: Network, x: Tensor, _: int) -> tuple[Call, Call]:
    program = program_of(model)
    padding = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
    return (lambda: program(x, padding)), (lambda: [head.cpu() for head in program(x, padding)])


def onnx(model: Network, x: Tensor, threads: int) -> tuple[Call, Call]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    where = ["CPUExecutionProvider"] if x.device.type == "cpu" else ["CUDAExecutionProvider"]
    session = onnxruntime.InferenceSession(onnx_of(model), options, providers=where)
    given = {"x": x.cpu().numpy(), "padding": np.zeros(x.shape[:2], bool)}
    names = output_names(model)
    return (lambda: session.run(names, given)), (lambda: [torch.from_numpy(a) for a in session.run(names, given)])


@lru_cache(maxsize=1)
def program_of(model: Network) -> torch.nn.Module:
    return export_program(model).module()


@lru_cache(maxsize=1)
def onnx_of(model: Network) -> bytes:
    return onnx_bytes(model)


def graph(model: Network, x: Tensor, _: int) -> tuple[Call, Call]:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(side)
    replayed = torch.cuda.CUDAGraph()
    with torch.cuda.graph(replayed):
        answer = model(x)

    def heard() -> list[Tensor]:
        replayed.replay()
        return [head.cpu() for head in answer if head is not None]

    return replayed.replay, heard


WAYS = {"eager": eager, "export": exported, "onnx": onnx}


def prepare(way: str, model: Network, x: Tensor, threads: int) -> tuple[Call, float]:
    """Return what is to be timed, and the largest difference of its answers from the network's."""
    with torch.inference_mode(way != "export"), torch.no_grad():
        call, answers = ({**WAYS, "graph": graph})[way](model, x, threads)
        off = max(float((a - b).abs().max()) for a, b in zip(answers(), heads(model, x), strict=True))
    return call, off


def heads(model: Network, x: Tensor) -> list[Tensor]:
    return [head.cpu() for head in model(x) if head is not None]


def measured(call: Call, device: str, repeats: int) -> tuple[float, float]:
    """Return the least seconds of processor and wall of a call; each is repeated for a tenth of a second at least."""
    with torch.inference_mode():
        call()
        began = time.perf_counter()
        call()
        synchronise(device)
        times = max(1, math.ceil(0.1 / (time.perf_counter() - began)))
        processor, wall = [], []
        for _ in range(repeats):
            before, cpu = time.perf_counter(), time.process_time()
            for _ in range(times):
                call()
            synchronise(device)
            wall.append((time.perf_counter() - before) / times)
            processor.append((time.process_time() - cpu) / times)
    return min(processor), min(wall)


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def matmul_flops(threads: int, device: str, dtype: torch.dtype) -> float:
    """Return the operations per second of a large matrix product; on a CPU as many threads as say so do alike."""
    side = 1024 if device == "cpu" else 8192
    torch.set_num_threads(1 if device == "cpu" else threads)
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    processor, wall = measured(lambda: a @ b, device, 5)
    return (threads if device == "cpu" else 1) * 2 * side**3 / (processor if device == "cpu" else wall)


def count_flops(model: Network, x: Tensor) -> int:
    """Return the floating point operations of matrix products and convolutions."""
    # an LSTM of mkldnn and the CPU's fused attention are not known to the counter; their plain forms are
    plain = torch.backends.mkldnn.flags(enabled=False)
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter, torch.no_grad():
        warnings.simplefilter("ignore")  # of GPUs, whenever mkldnn is switched
        with plain, sdpa_kernel(SDPBackend.MATH):
            model(x)
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
