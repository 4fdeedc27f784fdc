"""The parts of nagiosplugin that we use, imported without the parts that we must not use.

`import nagiosplugin` also loads its Runtime (signals, logging, a singleton that keeps output), Cookie and LogTail. They
more than double what the import costs (40 ms of CPU instead of 17, measured), and none of them is of use here. So the
package's own `__init__` is left unexecuted while its modules are loaded one by one; a later `import nagiosplugin` by
anybody else finds everything as ever, with the same classes.
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

from nagiosplugin.context import ScalarContext
from nagiosplugin.metric import Metric
from nagiosplugin.performance import Performance
from nagiosplugin.range import Range
from nagiosplugin.resource import Resource
from nagiosplugin.result import Result, Results
from nagiosplugin.state import Critical, Ok, ServiceState, Unknown, Warn

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
