"""The parts of nagiosplugin that we use, imported without the parts that we must not use.

`import nagiosplugin` also loads its Runtime (signals, logging, a singleton that keeps output), Cookie and LogTail; their
imports cost more CPU than all the rest of a default run (20 of 35 ms, measured), and none of them is of use here. So
the package's own `__init__` is left unexecuted while its modules are loaded one by one, and a later
`import nagiosplugin` by anybody else finds everything as ever, with the same classes.
"""

import sys
from importlib.util import find_spec, module_from_spec

if "nagiosplugin" in sys.modules:
    _bare = None
else:
    _spec = find_spec("nagiosplugin")
    if _spec is None:
        raise ModuleNotFoundError("No module named 'nagiosplugin'", name="nagiosplugin")
    _bare = sys.modules["nagiosplugin"] = module_from_spec(_spec)

from nagiosplugin.context import ScalarContext  # noqa: E402
from nagiosplugin.metric import Metric  # noqa: E402
from nagiosplugin.performance import Performance  # noqa: E402
from nagiosplugin.range import Range  # noqa: E402
from nagiosplugin.resource import Resource  # noqa: E402
from nagiosplugin.result import Result, Results  # noqa: E402
from nagiosplugin.state import Critical, Ok, ServiceState, Unknown, Warn  # noqa: E402

if _bare is not None:
    del sys.modules["nagiosplugin"]

State = ServiceState

__all__ = [
    "Critical",
    "Metric",
    "Ok",
    "Performance",
    "Range",
    "Resource",
    "Result",
    "Results",
    "ScalarContext",
    "State",
    "Unknown",
    "Warn",
]
