"""Settings of how and where a job runs, which never change a byte of its output."""

from __future__ import annotations

from dataclasses import dataclass

from textmill.model.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Where a job runs, and with how many workers.

    Attributes:
        workers: number of local worker processes; None means one for each core, or one if there
            is a GPU.
        runner_flags: Beam's flags, as after `--`.
        dataflow: a preset of Dataflow's flags, which `runner_flags` override.
        wait: whether the call waits for the run's end; otherwise a remote runner goes on alone.
    """

    workers: int | None = None
    runner_flags: tuple[str, ...] = ()
    dataflow: str | None = None
    wait: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "runner_flags", tuple(self.runner_flags))
        if self.workers is not None and self.workers < 1:
            raise SettingError("workers", "a whole number of at least 1", self.workers)


HERE = Launch()  # on this machine, with the default number of workers
