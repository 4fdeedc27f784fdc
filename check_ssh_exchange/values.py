"""NamedTuple as typing has it, for a program that starts every minute for every host.

Importing typing costs a third of a bare interpreter's start, and dataclasses (with inspect) three times as much.
Type checkers see typing's own NamedTuple; at run time its class syntax is translated to collections.namedtuple here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    # What a class body holds beside its fields and methods. Some of these names appear in newer Pythons only.
    _OF_THE_BODY = {
        "__module__", "__qualname__", "__dict__", "__weakref__", "__annotations__", "__annotate__", "__annotate_func__",
        "__classcell__", "__classdictcell__",
    }  # fmt: skip

    def _annotations(namespace):
        """Return the annotations of a class body, in its order.

        Since Python 3.14 the body holds a function that computes them; a class made of it reads them.
        """
        if "__annotations__" in namespace:
            return namespace["__annotations__"]
        body = {key: value for key, value in namespace.items() if key != "__classcell__"}
        return type("_Body", (), body).__annotations__

    class _Meta(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            annotations = _annotations(namespace)
            fields = tuple(annotations)
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])  # noqa: PYI024
            for key, value in namespace.items():
                if key not in fields and key not in _OF_THE_BODY:
                    setattr(made, key, value)
            made.__annotations__ = annotations
            return made

    class NamedTuple(metaclass=_Meta):
        """A frozen value: fields with annotations, defaults last, methods and properties as in any class."""


__all__ = ["NamedTuple"]
