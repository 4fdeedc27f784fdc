"""NamedTuple as typing has it, for a program that starts every minute for every host.

Importing typing costs a third of a bare interpreter's start, and dataclasses (with inspect) three times as much.
Type checkers see typing's own NamedTuple; at run time its class syntax is translated to collections.namedtuple here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    class _Meta(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])  # noqa: PYI024
            for key, value in namespace.items():
                if key not in fields and key not in ("__module__", "__qualname__", "__dict__", "__weakref__"):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Meta):
        """A frozen value: fields with annotations, defaults last, methods and properties as in any class."""


__all__ = ["NamedTuple"]
