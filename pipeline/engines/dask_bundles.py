"""What a Dask worker does with a bundle of elements, and how results are combined.

Beam's translation keeps what a bundle gave as long as Dask knows the task, so workers would keep
all texts of the run. It counts no metrics. It combines in a task of its own, by a second
client on a worker, whose work would go on when the launcher has ended.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import dask.bag
import distributed
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.pipeline import AppliedPTransform, PTransformOverride
from apache_beam.runners.dask import transform_evaluator
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

from textmill.model.errors import TextmillError
from textmill.pipeline.files.error_causes import first_cause

TOPIC = "textmill-metrics"  # of events, which hold a job's name and pickled metrics
_AT_ONCE = 64  # parts that a task combines
_beams_bundle = transform_evaluator.apply_dofn_to_bundle
# The DoFns that have worked last, by class: Beam's RunInference lets a model go with its last DoFn,
# and would load it again for each shard.
_last: dict[type, Any] = {}


@contextlib.contextmanager
def own_bundles(job: str) -> Iterator[None]:
    """Makes Beam's translation use this module's bundles, which tell metrics by a job's name."""
    transform_evaluator.apply_dofn_to_bundle = functools.partial(_bundle, job)
    transform_evaluator.TRANSLATIONS[_Combine] = _Combined
    try:
        yield
    finally:
        transform_evaluator.apply_dofn_to_bundle = _beams_bundle
        del transform_evaluator.TRANSLATIONS[_Combine]


def _bundle(job: str, items: Any, arguments: Any, keywords: Any, receivers: Any) -> list[Any]:
    """Lets a DoFn work on a bundle, on a worker.

    Raises:
        TextmillError: it failed. The launcher gets no other error: of one that does not survive the
            way to it, Dask would say nothing. The worker's log has all of it.
    """
    metrics = MetricsContainer(None)
    sampler = statesampler.StateSampler("dask", CounterFactory())
    before = statesampler.get_current_tracker()
    statesampler.set_current_tracker(sampler)
    results, failed = [], ""
    try:
        with sampler.scoped_state("bundle", "process", metrics_container=metrics):
            results = _beams_bundle(items, arguments, keywords, receivers)
    except Exception as error:
        # Beam adds in which step it was, which is dropped behind the name of our own errors.
        own = isinstance(error, TextmillError)
        failed = first_cause(Exception(f"TextmillError: {error}") if own else error)
        logging.getLogger("distributed.worker").warning("a bundle failed", exc_info=True)
    finally:
        statesampler.set_current_tracker(before)
        receivers.values.clear()
    if failed:
        raise TextmillError(failed)
    do_fn = arguments[0].do_fn
    _last[type(do_fn)] = do_fn
    if metrics.metrics:
        told = base64.b64encode(pickle.dumps(metrics.get_cumulative())).decode()
        with contextlib.suppress(ValueError):  # there is no worker
            distributed.get_worker().log_event(TOPIC, [job, told])
    return results


class CombineOverride(PTransformOverride):
    """Replaces Beam's CombineGlobally, which gives one result for all elements, also for none."""

    def matches(self, applied_ptransform: AppliedPTransform) -> bool:
        """See `PTransformOverride`."""
        transform: Any = applied_ptransform.transform
        plain = type(transform) is beam.CombineGlobally and not (transform.args or transform.kwargs)
        return plain and transform.has_defaults and not transform.as_view

    def get_replacement_transform_for_applied_ptransform(
        self, applied_ptransform: AppliedPTransform
    ) -> beam.PTransform:
        """See `PTransformOverride`."""
        transform: Any = applied_ptransform.transform
        return _Combine(transform.fn)


class _Combine(beam.PTransform):
    def __init__(self, fn: beam.CombineFn):
        super().__init__()
        self.fn = fn

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        return beam.pvalue.PCollection.from_(elements)


class _Combined(transform_evaluator.DaskBagOp):
    """Combines the elements of each part, and then the parts, a few at a time."""

    def apply(self, input_bag: Any, side_inputs: Any = None) -> dask.bag.Bag:
        fn = self.transform.fn
        parts = input_bag.reduction(
            functools.partial(_accumulated, fn),
            functools.partial(_merged, fn),
            split_every=_AT_ONCE,
            out_type=dask.bag.Bag,
        )
        return parts.map_partitions(functools.partial(_extracted, fn))


# An accumulator travels in a list of one, as what passes between tasks has to be a list.
def _accumulated(fn: beam.CombineFn, elements: Iterable[Any]) -> list[Any]:
    accumulator = fn.create_accumulator()
    for element in elements:
        accumulator = fn.add_input(accumulator, element)
    return [accumulator]


def _merged(fn: beam.CombineFn, parts: Iterable[list[Any]]) -> list[Any]:
    return [fn.merge_accumulators([accumulator for part in parts for accumulator in part])]


def _extracted(fn: beam.CombineFn, parts: Iterable[Any]) -> list[Any]:
    (accumulator,) = parts
    return [fn.extract_output(accumulator)]
