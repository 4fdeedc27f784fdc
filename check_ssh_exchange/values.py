"""NamedTuple as typing has it, for a program that starts every minute for every host.

Importing typing costs a third of a bare interpreter's start, and dataclasses (with inspect) three times as much; each
collections.namedtuple compiles its constructor from text. Type checkers see typing's own NamedTuple; at run time its
class syntax makes a subclass of tuple here, on every Python from 3.11 on.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from operator import itemgetter

    class _Value(tuple):
        """What all values have in common; the names are typing.NamedTuple's."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        def __new__(cls, *values, **named):
            # Most are built with every field in its place.
            if named or len(values) != len(cls._fields):
                values = _completed(cls, values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changed):
            made = [
                changed.pop(field) if field in changed else old for field, old in zip(self._fields, self, strict=True)
            ]
            if changed:
                raise ValueError(f"{type(self).__name__} has no field {', '.join(changed)}")
            return tuple.__new__(type(self), made)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)

    def _completed(cls, values, named):
        """Return all values of a new one from those by place, those by name, and defaults; raises TypeError."""
        fields, defaults = cls._fields, cls._field_defaults
        given = dict(zip(fields, values))  # noqa: B905 - too many raise below
        twice = given.keys() & named.keys()
        unknown = [name for name in named if name not in fields]
        given.update(named)
        missing = [field for field in fields if field not in given and field not in defaults]
        if len(values) > len(fields) or twice or unknown or missing:
            wrong = unknown or sorted(twice) or missing or [f"{len(values)} values"]
            raise TypeError(f"{cls.__name__} takes {', '.join(fields)}: {', '.join(wrong)}")
        return [given[field] if field in given else defaults[field] for field in fields]

    class _Meta(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            made = type(name, (_Value,), {**namespace, "__slots__": ()})
            # An attribute of the class and not of its body: since Python 3.14 the body holds a function instead.
            made._fields = made.__match_args__ = fields = tuple(made.__annotations__)
            made._field_defaults = {field: namespace[field] for field in fields if field in namespace}
            for index, field in enumerate(fields):
                setattr(made, field, property(itemgetter(index)))
            return made

    class NamedTuple(metaclass=_Meta):
        """A frozen value: fields with annotations, defaults last, methods and properties as in any class."""


__all__ = ["NamedTuple"]
