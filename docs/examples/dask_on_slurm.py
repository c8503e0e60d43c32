"""Label a dataset with Dask workers that Slurm starts, each in a job of its own.

    pip install dask-jobqueue
    python dask_on_slurm.py /data/faces 32

It runs where jobs can be submitted and the dataset is, as it holds the scheduler, and ends with the exit code of
`au3dmm run`. Stop it with Ctrl-C and start it again: what is up to date is skipped. An array of jobs
(slurm_array.sbatch) needs no process that lives as long as the run; this needs no shards, and a worker that is done
takes what is left of others.
"""

import sys

import dask
from dask_jobqueue import SLURMCluster

import au3dmm
from au3dmm.api import RunOptions


def main(dataset: str, jobs: int) -> int:
    """Run `dataset` on up to `jobs` workers; return an exit code."""
    dask.config.set(
        {
            # at more than 1.0 a worker that dies takes a job with it that only waited for it
            "distributed.scheduler.worker-saturation": 1.0,
            # au3dmm itself tries once more what killed a worker
            "distributed.scheduler.allowed-failures": 0,
        }
    )
    cluster = SLURMCluster(
        cores=1,
        processes=1,  # one thread per process: a process does one session at a time
        memory="3GB",
        walltime="04:00:00",
        # queue="...", account="...",
        job_script_prologue=["export OMP_NUM_THREADS=1"],
        # leave before Slurm kills, not all at once
        worker_extra_args=["--lifetime", "230m", "--lifetime-stagger", "5m"],
    )
    try:
        cluster.scale(jobs=jobs)
        cluster.wait_for_workers(1)  # the others join when Slurm lets them
        result = au3dmm.run_dataset(dataset, options=RunOptions(executor=cluster.scheduler_address))
    finally:
        cluster.close()
    for failure in result.failures:
        print(f"{failure.session_id}: {failure.stage}: {failure.message}", file=sys.stderr)
    if result.stopped:
        print(f"stopped: {result.stopped}", file=sys.stderr)
    return result.exit_code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2])))
