"""The machine's processor, cores and GPUs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any


def cpu_kind() -> str:
    """The processor's name, since equal bits are promised only on the same kind of CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def uses_cudnn(network: Callable[[Any], Any]) -> bool:
    """Tells from the graph whether TensorFlow's recurrent layers run in cuDNN's kernel.

    Args:
        network: a function of ids, int32 [1, 2].
    """
    import tensorflow as tf

    traced = tf.function(network).get_concrete_function(tf.TensorSpec((1, 2), "int32"))
    return "CudnnRNN" in str(traced.graph.as_graph_def())


def gpus() -> int:
    """Number of GPUs that Keras's backend sees."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        return int(torch.cuda.device_count())
    try:
        return len(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX raises it if there is no GPU
        return 0
