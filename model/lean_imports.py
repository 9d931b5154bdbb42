"""Imports large packages without those of their parts that the work at hand does not need."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LOADING = threading.RLock()


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Hides packages that are not loaded, as if they were not installed.

    What is imported in the block must be able to do without them. They can be imported after it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def put_off(package: str, *, but: Sequence[str] = ()) -> Iterator[None]:
    """Puts off the modules right inside a package: each runs when it is first asked for a name.

    They are the same modules with the same names, later. `importlib.util.LazyLoader` would run them
    as soon as somebody looks at their file names, as TensorFlow does with all loaded modules.

    Args:
        package: the package, dotted.
        but: names in it that are not put off.
    """
    finder = _Finder(package, but)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def no_collection() -> Iterator[None]:
    """Stops the garbage collector, which takes a tenth of the time that modules load.

    Later, it does not search the loaded modules either, as they hold no garbage.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


class _PutOff(ModuleType):
    """A module that has not run."""

    def __getattr__(self, name: str) -> Any:
        # Python calls this for names only that the module lacks. Those with underscores, such as
        # `__wrapped__`, are what inspection asks every module for.
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        with _LOADING:
            loader = self.__dict__.pop("_textmill_loader", None)
            # Without a loader it runs already, further up in this thread, or has run.
            if loader is not None:
                try:
                    loader.exec_module(self)
                except BaseException:
                    self.__dict__["_textmill_loader"] = loader  # the next one gets the error, too
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'") from None


class _Later(Loader):
    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _PutOff(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        module.__dict__["_textmill_loader"] = self._loader


class _Finder:
    def __init__(self, package: str, but: Sequence[str]):
        self._package, self._but = package, but

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        inside, _, last = name.rpartition(".")
        if inside != self._package or last in self._but:
            return None
        # `tensorflow.lite` is a folder, too. If it were first imported after `tf.lite` has got its
        # meaning, it would take that name.
        with suppress(ModuleNotFoundError):
            import_module(f"{name.partition('.')[0]}.{last}")
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec
