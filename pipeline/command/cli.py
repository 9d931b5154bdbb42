"""The `textmill` command: parses, calls one function, prints. Nothing heavy loads for `--help`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from textmill.model.errors import SettingError, TextmillError
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.command.exit_status import FAILED, INTERRUPTED, fail


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    _open_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    runner_flags: list[str] = []
    if arguments[:1] in (["generate"], ["augment"], ["plan"]) and "--" in arguments:
        cut = arguments.index("--")
        arguments, runner_flags = arguments[:cut], arguments[cut + 1 :]
    # TensorFlow greets on the standard error; what matters of it comes as our own message.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger().setLevel(logging.CRITICAL)  # Beam logs a failure before it raises it
    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, _interrupt)  # ends as Ctrl-C does
    try:
        args = parser(COMMANDS).parse_args(arguments)
        args.runner_flags = runner_flags
        status = args.run(args)
        sys.stdout.flush()  # a full disk shows here, where it can be told
        return status
    except SettingError as error:
        return fail(error.said("--" + error.field.replace("_", "-")), error.status)
    except TextmillError as error:
        return fail(str(error), error.status)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UnicodeEncodeError as error:
        what = error.object[max(0, error.start - 20) : error.end + 20]
        return fail(f"{what!r} cannot be written in {error.encoding}", FAILED)
    except OSError as error:
        return fail(f"{error.filename or 'the output'}: {error.strerror or error}", FAILED)
    except MemoryError:
        return fail("the memory is full; try a smaller model, file or number of --workers", FAILED)
    except SystemExit as stop:  # argparse's way out
        return stop.code if isinstance(stop.code, int) else FAILED
    except Exception as error:
        return fail(unforeseen(error, arguments), FAILED)


def _open_closed_streams() -> None:
    """Opens standard streams that a caller has closed (`>&-`) to nowhere.

    A file that is opened next would else get their number, and with it what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115


def unforeseen(error: Exception, arguments: Sequence[str]) -> str:
    """What is said of an error that nobody thought of; its traceback goes into a file."""
    import shlex
    import tempfile
    import traceback

    what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")
    lines = traceback.format_exception(error)
    try:
        handle, path = tempfile.mkstemp(prefix="textmill-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"textmill {shlex.join(arguments)}\n\n{''.join(lines)}")
    except OSError:  # no room for it
        return f"a fault in textmill: {what} ({lines[-2].strip().splitlines()[0]})"
    return f"a fault in textmill: {what}; the details for its authors are in {path}"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
