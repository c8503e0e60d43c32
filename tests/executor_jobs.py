"""Jobs for workers, which import them by name."""

import os
import time


def square(x):
    return x * x


def die(how):
    os.kill(os.getpid(), how)


def leave(code):
    os._exit(code)


def say_threads():
    return os.environ["OMP_NUM_THREADS"], os.getpid()


def say_slot(seconds):
    from au3dmm.executors.processes import worker_slot

    time.sleep(seconds)
    return worker_slot()


def eat(n_bytes):
    try:
        return len(bytearray(n_bytes))
    except MemoryError:
        return "MemoryError"


def sleep(seconds):
    time.sleep(seconds)
