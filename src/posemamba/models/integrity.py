"""A check that a model is still what its class builds from its config, code included.

Kernels that know a model's weights alone may stand in for its modules only then. `Blueprint` compares modules,
attributes, hooks and shapes with a model freshly built on the meta device, which has no memory; `Code` compares the
functions that modules run with those that were there at first. Both are asked at every forward pass: they look at all
that a forward pass reads, by loops that run in C, and take no references to the model.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import compress, repeat
from operator import attrgetter, contains, getitem, itemgetter
from types import FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

_children, _parameters = itemgetter("_modules"), itemgetter("_parameters")
_training, _shape = itemgetter("training"), attrgetter("shape")
_hooks, _pre_hooks = itemgetter("_forward_hooks"), itemgetter("_forward_pre_hooks")
_CALL = ("__call__", "_wrapped_call_impl", "_call_impl", "__getattr__", "__getattribute__", "forward")
"""The methods that Python and PyTorch go through from a call of a module to its computation."""


def is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Tell whether to call a module is to run `kind`'s own forward: no subclass, no hooks, no `forward` of its own."""
    if type(module) is not kind or torch_module._has_any_global_hook():
        return False
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return not hooked and "forward" not in module.__dict__


class _Lookups:
    """A look-up of many items in a list of dictionaries, by loops in C: item names[i] of dictionary places[i]."""

    def __init__(self, places: list[int], names: list[str]) -> None:
        self._places, self.names = places, names

    def __call__(self, spaces: list[dict[str, Any]]) -> list[Any]:
        # itemgetter returns no tuple for a single place
        chosen = itemgetter(*self._places)(spaces) if len(self._places) > 1 else [spaces[i] for i in self._places]
        return list(map(getitem, chosen, self.names))

    def places(self, spaces: list[str]) -> list[str]:
        """Make full names from those of the dictionaries."""
        return [f"{spaces[i]}.{name}".lstrip(".") for i, name in zip(self._places, self.names, strict=True)]


class Blueprint:
    """The modules, attributes and shapes of a model built from one config, as far as its forward pass reads them.

    Args:
        blank: a model as its class builds it, on the meta device.
        attributes: of each class of modules, the names of attributes that its forward pass reads.
        apart: children of the model that its forward pass does not use.
    """

    def __init__(
        self, blank: nn.Module, attributes: dict[type[nn.Module], tuple[str, ...]], apart: Collection[str]
    ) -> None:
        self._names, self._levels = [""], []
        level, first = [blank], 0
        while level:
            found = [
                (i, name) for i, parent in enumerate(level) for name in parent._modules if first or name not in apart
            ]
            self._names += [f"{self._names[first + i]}.{name}".lstrip(".") for i, name in found]
            self._levels.append(_Lookups([i for i, _ in found], [name for _, name in found]))
            first += len(level)
            level = [level[i].get_submodule(name) for i, name in found]
        self._levels.pop()  # the last level has no children

        modules, spaces = self._walk(blank)
        self._types = list(map(type, modules))
        self._sizes = list(map(len, spaces))
        self._known = [{*space, *m._parameters, *m._modules} for m, space in zip(modules, spaces, strict=True)]
        self._containers = [i for i, kind in enumerate(self._types) if kind in (nn.Sequential, nn.ModuleList)]
        self._contents = [list(modules[i]._modules) for i in self._containers]
        self._parameters = _Lookups(
            [i for i, module in enumerate(modules) for _ in module._parameters],
            [name for module in modules for name in module._parameters],
        )
        parameters = self._parameters(list(map(_parameters, spaces)))
        self._parameter_types: list[Any] = list(map(type, parameters))
        self._there = [parameter is not None for parameter in parameters]
        self._shapes = list(map(_shape, compress(parameters, self._there)))
        read = [(i, name) for i, kind in enumerate(self._types) for name in attributes.get(kind, ())]
        self._attributes = _Lookups([i for i, _ in read], [name for _, name in read])
        self._values = self._attributes(spaces)

    def parameters_of(self, model: nn.Module) -> list[Tensor] | None:
        """Return all parameters of a model that is as it was built; None if it is not.

        An equal value of an attribute is no difference, and neither is anything that no forward pass reads.
        """
        try:
            modules, spaces = self._walk(model)
            if list(map(type, modules)) != self._types:
                return None
            parameters = self._parameters(list(map(_parameters, spaces)))
            if (
                any(map(_training, spaces))
                or any(map(_hooks, spaces[1:]))  # those of the model itself are called all the same
                or any(map(_pre_hooks, spaces[1:]))
                or any(map(contains, spaces, repeat("forward")))
                or [list(modules[i]._modules) for i in self._containers] != self._contents
                or list(map(type, parameters)) != self._parameter_types
                or self._attributes(spaces) != self._values
                or (list(map(len, spaces)) != self._sizes and any(self._shadows(i, m) for i, m in enumerate(modules)))
            ):
                return None
            parameters = list(compress(parameters, self._there))
            return parameters if list(map(_shape, parameters)) == self._shapes else None
        except Exception:  # what cannot be looked up or compared is not as it was built
            return None

    def _walk(self, model: nn.Module) -> tuple[list[nn.Module], list[dict[str, Any]]]:
        """List the model and its modules, level by level, and their namespaces."""
        modules, spaces = [model], [vars(model)]
        level = spaces
        for lookup in self._levels:
            children = lookup(list(map(_children, level)))
            level = list(map(vars, children))
            modules += children
            spaces = spaces + level
        return modules, spaces

    def _shadows(self, i: int, module: nn.Module) -> str:
        """Name an attribute of a module that was not there and that hides something of its class or inside of it."""
        space = vars(module)
        if len(space) != self._sizes[i]:
            for name in space:
                if name in module._parameters or name in module._modules:
                    return name
                if name not in self._known[i] and hasattr(self._types[i], name):
                    return name
        return ""

    def difference(self, model: nn.Module) -> str:
        """Name the first thing in which a model is not as it was built; '' if it is."""
        if self.parameters_of(model) is not None:
            return ""
        return next(self._differences(model), "the model is not as its config builds it")

    def _differences(self, model: nn.Module) -> Iterator[str]:
        there: dict[str, Any] = {"": model}
        for name, kind in zip(self._names, self._types, strict=True):
            parent, _, key = name.rpartition(".")
            if name:
                there[name] = there[parent]._modules.get(key)
            if type(there[name]) is not kind:
                found = type(there[name])
                yield f"{_label(name)} is {_described(found, kind)}, not {_described(kind, found)}"
                return
        for i, (name, module) in enumerate(there.items()):
            if module.training:
                yield f"{_label(name)} is in training mode"
            if name and (module._forward_hooks or module._forward_pre_hooks):
                yield f"{_label(name)} has hooks"
            if shadow := "forward" if "forward" in vars(module) else self._shadows(i, module):
                yield f"{_label(name)} has a '{shadow}' of its own"
        for i, wanted in zip(self._containers, self._contents, strict=True):
            held = list(there[self._names[i]]._modules)
            if held != wanted:
                yield f"{_label(self._names[i])} holds {', '.join(held)}, not {', '.join(wanted)}"
        shapes = iter(self._shapes)
        for place, kind in zip(self._parameters.places(self._names), self._parameter_types, strict=True):
            name, _, key = place.rpartition(".")
            parameter = there[name]._parameters.get(key)
            shape = next(shapes) if kind is not type(None) else None
            if type(parameter) is not kind:
                yield f"{place} is {_described(type(parameter), kind)}, not {_described(kind, type(parameter))}"
            elif shape is not None and parameter.shape != shape:
                yield f"{place} is {tuple(parameter.shape)}, not {tuple(shape)}"
        for place, value in zip(self._attributes.places(self._names), self._values, strict=True):
            name, _, key = place.rpartition(".")
            if key not in vars(there[name]):
                yield f"{place} is missing"
            elif not _same(vars(there[name])[key], value):
                yield f"{place} is {vars(there[name])[key]!r}, not {value!r}"


def _label(name: str) -> str:
    return name or "the model"


def _described(kind: type, other: type) -> str:
    """Name a class; with its module where the other has the same name."""
    if kind is type(None):
        return "missing"
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__name__ == other.__name__ else kind.__name__


def _same(value: object, other: object) -> bool:
    try:
        return value is other or bool(value == other)
    except Exception:
        return False


class Code:
    """The functions that a forward pass runs, as they were when this was made.

    Args:
        classes: whose functions and properties count, and with them all that these find among the names of their
            module, followed through the functions of this package.
        calls: further classes, of whom it counts how they are called.
        functions: (holder, names) of further functions.
    """

    def __init__(
        self,
        classes: Iterable[type],
        calls: Iterable[type[nn.Module]],
        functions: Iterable[tuple[Any, Iterable[str]]],
    ) -> None:
        self._places: dict[tuple[int, str], tuple[Any, str]] = {}
        self._used = set(_CALL)
        for kind in (own := tuple(classes)):
            for name, value in vars(kind).items():
                if isinstance(value, FunctionType | property) and not name.startswith("__"):
                    self._add(kind, name, value.fget if isinstance(value, property) else value)
        self._classes: list[type] = [*own, *calls]
        for kind in self._classes:
            for name in _CALL:
                if hasattr(kind, name):
                    self._add(kind, name, getattr(kind, name))
        for holder, names in functions:
            for name in names:
                self._add(holder, name, getattr(holder, name))
        self._holders = [holder for holder, _ in self._places.values()]
        self._names = [name for _, name in self._places.values()]
        self._values = list(map(getattr, self._holders, self._names))
        self._known = [set(vars(kind)) for kind in self._classes]
        self._sizes = list(map(len, self._known))

    def _add(self, holder: Any, name: str, function: object) -> None:
        """Enter a function, and if it is of this package also the functions that it finds in its module."""
        if (id(holder), name) in self._places:
            return
        self._places[id(holder), name] = holder, name
        if not isinstance(function, FunctionType):
            return
        self._used.update(function.__code__.co_names)
        if not function.__globals__["__name__"].startswith("posemamba."):
            return
        module = sys.modules[function.__globals__["__name__"]]
        for used in function.__code__.co_names:
            value = function.__globals__.get(used)
            if isinstance(value, ModuleType) or callable(value):
                self._add(module, used, value)

    def is_as_before(self) -> bool:
        """Tell whether no function was replaced, no hook added that all modules call."""
        try:
            if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
                return False
            if list(map(getattr, self._holders, self._names)) != self._values:
                return False
            return list(map(len, map(vars, self._classes))) == self._sizes or not any(self._added())
        except AttributeError:
            return False

    def _added(self) -> Iterator[str]:
        """Name attributes that classes did not have and functions read: they come before those of an instance."""
        for kind, known in zip(self._classes, self._known, strict=True):
            yield from (f"{kind.__name__}.{name}" for name in (vars(kind).keys() - known) & self._used)

    def difference(self) -> str:
        """Name what was replaced; '' if nothing was."""
        if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
            return "all modules have hooks (torch.nn.modules.module.register_module_forward_hook)"
        missing = object()
        for holder, name, value in zip(self._holders, self._names, self._values, strict=True):
            if getattr(holder, name, missing) != value:
                return f"{holder.__name__}.{name} was replaced"
        return next((f"{name} was added" for name in self._added()), "")
