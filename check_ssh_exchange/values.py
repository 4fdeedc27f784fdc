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

    try:  # what collections.namedtuple has for its fields: a third faster than a property
        from _collections import _tuplegetter as _field
    except ImportError:

        def _field(index, _):
            return property(itemgetter(index))

    MOST_ORDERS = 64  # ways of naming fields that are remembered of a class; a program has a few

    class _Value(tuple):
        """What all values have in common; the names are typing.NamedTuple's."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}
        _orders = {}

        def __new__(cls, *values, **named):
            # Most are built with every field in its place, and the others by few ways of naming fields.
            if named or len(values) != len(cls._fields):
                order = cls._orders.get((len(values), *named)) or _order(cls, values, named)
                values = order((*values, *named.values(), *cls._field_defaults.values()))
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changed):
            cls = type(self)
            order = cls._orders.get((None, *changed)) or _replacing(cls, changed)
            return tuple.__new__(cls, order((*self, *changed.values())))

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)

    def _order(cls, values, named):
        """Return what puts values by place, those by name and defaults into the order of the fields.

        Raises TypeError where they are not the fields.
        """
        fields, defaults = cls._fields, cls._field_defaults
        places = {name: len(values) + len(named) + number for number, name in enumerate(defaults)}
        given = {name: number for number, name in enumerate(fields[: len(values)])}
        twice = given.keys() & named.keys()
        unknown = [name for name in named if name not in fields]
        given.update((name, len(values) + number) for number, name in enumerate(named))
        missing = [field for field in fields if field not in given and field not in defaults]
        if len(values) > len(fields) or twice or unknown or missing:
            wrong = unknown or sorted(twice) or missing or [f"{len(values)} values"]
            raise TypeError(f"{cls.__name__} takes {', '.join(fields)}: {', '.join(wrong)}")
        return _remembered(cls, (len(values), *named), [{**places, **given}[field] for field in fields])

    def _replacing(cls, changed):
        """Return what puts the values of one and those to change into order; raises ValueError for no such field."""
        fields = cls._fields
        if unknown := [name for name in changed if name not in fields]:
            raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}")
        places = {name: len(fields) + number for number, name in enumerate(changed)}
        found = [places.get(field, number) for number, field in enumerate(fields)]
        return _remembered(cls, (None, *changed), found)

    def _remembered(cls, key, places):
        # Of a single place itemgetter returns the value itself.
        order = itemgetter(*places) if len(places) > 1 else lambda found: tuple(found[place] for place in places)
        if len(cls._orders) < MOST_ORDERS:
            cls._orders[key] = order
        return order

    class _Meta(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            made = type(name, (_Value,), {**namespace, "__slots__": ()})
            # An attribute of the class and not of its body: since Python 3.14 the body holds a function instead.
            made._fields = made.__match_args__ = fields = tuple(made.__annotations__)
            made._field_defaults = {field: namespace[field] for field in fields if field in namespace}
            made._orders = {}
            for index, field in enumerate(fields):
                setattr(made, field, _field(index, None))
            return made

    class NamedTuple(metaclass=_Meta):
        """A frozen value: fields with annotations, defaults last, methods and properties as in any class."""


__all__ = ["NamedTuple"]
