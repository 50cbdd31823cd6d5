"""MXNet's operators as functions that are written when they are first called.

While MXNet is imported it writes two Python functions for each of its operators, one for arrays and
one for symbols, and compiles them all, of which a program calls a few. That is two thirds of the
time that importing it takes.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

_BASE = "mxnet.base"
#: What it registers the operators of each kind by, and what both call their last argument, which
#: writes the function of one.
_REGISTER, _WRITE = ("_init_op_module", "_init_np_op_module"), "make_op_func"

#: Writes the function of an operator: takes its handle, its name and the function's.
Write = Callable[[Any, str, str], Callable[..., Any]]


@contextlib.contextmanager
def late_operators() -> Iterator[None]:
    """Let MXNet, if it is imported inside, write each operator's function at its first call."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _late(write: Write) -> Write:
    """Return what gives a stand-in at once, and lets `write` do its work when that is called."""

    def stand_in(handle: Any, name: str, function_name: str) -> Callable[..., Any]:
        written: Optional[Callable[..., Any]] = None

        def operator(*args: Any, **kwargs: Any) -> Any:
            nonlocal written
            if written is None:
                written = write(handle, name, function_name)
                operator.__doc__ = written.__doc__
            return written(*args, **kwargs)

        operator.__name__ = operator.__qualname__ = function_name
        operator.__doc__ = "An operator of MXNet, told of here when it has been called."
        return operator

    return stand_in


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module that registers operators, to change how it does."""

    def find_spec(
        self, name: str, path: Optional[Sequence[str]], target: Optional[types.ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if name != _BASE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads the module as its own loader does, then changes how it registers operators."""

    def __init__(self, own: importlib.abc.Loader) -> None:
        self._own = own

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[types.ModuleType]:
        return self._own.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._own
        self._own.exec_module(module)
        for name in _REGISTER:
            setattr(module, name, _registering_late(getattr(module, name)))


def _registering_late(register: Callable[..., None]) -> Callable[..., None]:
    def registering(*args: Any, **kwargs: Any) -> None:
        if _WRITE in kwargs:
            register(*args, **{**kwargs, _WRITE: _late(kwargs[_WRITE])})
        else:
            register(*args[:-1], _late(args[-1]))

    return registering
