"""How long the networks take for one second of frames (docs/models.md).

    python benchmarks/models.py [--model st_vit ...] [--frames 30] [--image-px 224] [--batch 1] [--threads 1]
                                [--device cuda] [--dtype bfloat16] [--graph]

One line per network: parameters, milliseconds per clip (the least and the median of `--repeats`; on a CPU of processor
and wall time), and clips per second. On a GPU, `--graph` replays a CUDA graph: without it a small network waits for
Python, not for the device.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from au3dmm.models import MODELS, Network, make_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--image-px", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.device}, {args.dtype}, {args.batch} x {args.frames} frames")
    for name in args.model:
        size = {"image_px": args.image_px} if MODELS[name].INPUT == "frames" else {}
        model = make_model(name, n_frames=args.frames, **size).eval().to(args.device, getattr(torch, args.dtype))
        shape = (1, args.image_px, args.image_px) if size else (32,)
        x = torch.rand(args.batch, args.frames, *shape, device=args.device, dtype=getattr(torch, args.dtype))
        with torch.inference_mode():
            run = replay(model, x) if args.graph else lambda model=model, x=x: model(x)
            wall, processor = measured(run, args.device, args.repeats)
        n = sum(p.numel() for p in model.parameters())
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        least = f"{min(wall):9.2f} ms least, {statistics.median(wall):9.2f} median"
        cpu = f", processor {min(processor):9.1f} ms" if args.device == "cpu" else ""
        rate = 1e3 * args.batch / statistics.median(wall)
        print(f"{name:22}{n:>12,} parameters ({trained:>12,} trained){least}{cpu}, {rate:9.1f} clips/s", flush=True)


def measured(run: Callable[[], object], device: str, repeats: int) -> tuple[list[float], list[float]]:
    """Return wall and processor milliseconds of each repeat."""
    wall, processor = [], []
    for i in range(repeats + 2):
        before, cpu = time.perf_counter(), time.process_time()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        if i > 1:  # the first calls allocate and choose kernels
            wall.append(1e3 * (time.perf_counter() - before))
            processor.append(1e3 * (time.process_time() - cpu))
    return wall, processor


def replay(model: Network, x: Tensor) -> Callable[[], None]:
    """Return a call that replays the network as one CUDA graph."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return graph.replay


if __name__ == "__main__":
    main()
