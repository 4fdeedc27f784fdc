"""`bytecode compile|remove DIRECTORY`: the compiled modules of a package, which rpm's scriptlets write and take away.

The packages are built without the Python that they run on. A plugin that starts as another user than root cannot keep
what it compiles: without this each start would compile every module anew.
"""

import compileall
import shutil
import sys
from pathlib import Path


def main(command: str, directory: str) -> int:
    """Compile the modules below a directory, or remove what was compiled; return the exit code."""
    for compiled in list(Path(directory).rglob("__pycache__")):
        shutil.rmtree(compiled)
    if command == "remove":
        return 0
    return 0 if compileall.compile_dir(directory, quiet=1) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
