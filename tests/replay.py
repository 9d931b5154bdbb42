"""What a Dataflow worker does, as far as one machine can: runs a pipeline as it was staged.

`python replay.py gs://.../pipeline.pb [MISSING]` in an interpreter of its own, which knows nothing
of the launcher. The container is left out: environments become this interpreter.
"""

from __future__ import annotations

import logging
import sys


class Missing:
    """Hides packages, as if the image did not have them."""

    def __init__(self, *names: str):
        self._names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def main(staged: str, *missing: str) -> None:
    sys.meta_path.insert(0, Missing(*missing))
    logging.disable(logging.CRITICAL)
    from apache_beam.internal.gcp import auth

    auth._Credentials._credentials_init = True  # else it looks for credentials for 19 s
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability import python_urns
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    with FileSystems.open(staged, compression_type="uncompressed") as file:
        pipeline = beam_runner_api_pb2.Pipeline.FromString(file.read())
    for environment in pipeline.components.environments.values():
        environment.urn = python_urns.EMBEDDED_PYTHON
        environment.payload = b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(pipeline, PipelineOptions()).wait_until_finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
