"""Nagios' ranges and states as nagiosplugin has them, imported without what a check does not use.

`import nagiosplugin` also loads its Runtime (signals, logging, a singleton that keeps output), Cookie and LogTail, for
several times the CPU. So the package's own `__init__` is left unexecuted while its modules are loaded one by one; a
later `import nagiosplugin` by other code finds everything as usual, with the same classes. This reaches past the
library's public face, hence the upper bound in setup.cfg.
"""

import sys
from types import ModuleType


def _bare_package(name: str) -> ModuleType:
    """Return a package that its modules can be imported from, its `__init__` not executed."""
    # As importlib.util.find_spec does it, without importing importlib.util (1 ms).
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None and spec.submodule_search_locations is not None:
            bare = ModuleType(name)
            bare.__path__ = spec.submodule_search_locations
            return bare
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


_bare = None
if "nagiosplugin" not in sys.modules:
    _bare = sys.modules["nagiosplugin"] = _bare_package("nagiosplugin")

from nagiosplugin.range import Range
from nagiosplugin.state import Critical, Ok, ServiceState, Unknown, Warn

if _bare is not None:
    del sys.modules["nagiosplugin"]

State = ServiceState

__all__ = ["Critical", "Ok", "Range", "State", "Unknown", "Warn"]
