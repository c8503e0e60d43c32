"""Ways to run many jobs: here, in processes, or on Dask. They know nothing of what a job does."""

from au3dmm.executors.base import Executor, Job, Outcome, make_executor

__all__ = ["Executor", "Job", "Outcome", "make_executor"]
