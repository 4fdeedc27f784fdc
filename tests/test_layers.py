"""Which layer may import which, what pure layers may not use, and what a run of the plugin does not load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.fake_sshd import FIN, HEALTHY, FakeSshd, Script
from tests.lengths import LONG, long_modules

ROOT = Path(__file__).parents[1]
PACKAGE = "check_ssh_exchange"
MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))

# What a layer may import from the package besides itself; "" is the package's own `__init__`, with the version.
VALUES = {"", "ending", "plan", "report", "text", "values"}
MAY_IMPORT: dict[str, set[str]] = {
    "": set(),
    "values": set(),
    "text": set(),
    "spans": set(),
    "interrupt": set(),
    "ending": set(),
    "report": {"ending", "values"},
    "plan": {"ending", "report", "values"},
    "plugin": {"interrupt", "text", "values"},
    "wire": {"", "ending", "values"},
    "diagnosis": {*VALUES, "plugin"},
    "probe": {*VALUES, "interrupt", "wire"},
    "measure": {*VALUES, "interrupt", "diagnosis", "probe"},
    "runbook": {"diagnosis"},
    "remote": {*VALUES, "diagnosis", "interrupt", "measure", "plugin", "runbook", "spans"},
    "host": {*VALUES, "diagnosis", "interrupt", "measure", "plugin"},
    "demo": {*VALUES, "diagnosis", "remote", "wire"},
    "__main__": {"remote"},
}
PURE = {"values", "text", "spans", "ending", "report", "plan", "wire", "diagnosis"}
# The kit's values; its other modules are a plugin's process, command line and files.
PURE_IN_PLUGIN = {"output", "perfdata", "states", "thresholds"}
# What only the SSH layers may speak of: the kit serves any plugin.
WORDS_OF_SSH = ("ssh", "handshake", "banner", "kexinit", "maxstartups")
IMPURE_MODULES = {
    "asyncio", "concurrent", "ctypes", "fcntl", "http", "io", "logging", "multiprocessing", "pathlib", "random",
    "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time",
}  # fmt: skip
OF_THE_EXPORTER = {"prometheus_client", "aiohttp", "pydantic", "ruamel", "bcrypt", "ssh_exchange_exporter"}
NOT_LOADED = {"asyncio", "asyncssh", "dataclasses", "hashlib", "inspect", "logging", "rich"}

# Runs a command line in this process; what it loaded stands behind the marker.
DRIVER = """
import sys
from check_ssh_exchange.remote import cli
code, output = cli.main(sys.argv[1:])
sys.stdout.write(output + "loaded: " + " ".join(sorted(sys.modules)))
"""


class Import(NamedTuple):
    """One imported module: its whole name, where the statement stands, and what it takes from there."""

    name: str
    line: int
    is_at_module_level: bool
    is_for_types: bool
    parts: tuple[str, ...] = ()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[Import]:
    package = list(path.relative_to(ROOT).parts[:-1])

    def names(node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        start = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*start, *([node.module] if node.module else [])])
        # `from .. import kernel` may name a module or a value; a value does no harm here.
        return [f"{base}.{alias.name}" for alias in node.names] if node.level and not node.module else [base]

    def walk(node: ast.AST, top: bool, typed: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for name in names(child):
                    parts = tuple(alias.name for alias in child.names) if isinstance(child, ast.ImportFrom) else ()
                    yield Import(name, child.lineno, top, typed, parts)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, top and not inside, typed or is_type_checking(child))

    yield from walk(ast.parse(path.read_bytes()), top=True, typed=False)


def layer(name: str) -> str:
    """The layer of a module: `check_ssh_exchange.wire.packet` is in `wire`, a value of the package in ``."""
    first = [*name.split("."), ""][1]
    is_module = (ROOT / PACKAGE / first).is_dir() or (ROOT / PACKAGE / f"{first}.py").exists()
    return first if is_module else ""


def layer_of(path: Path) -> str:
    first = path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def every_import(of: set[str] | None = None) -> Iterator[tuple[str, str, Import]]:
    for path in MODULES:
        if of is None or layer_of(path) in of:
            for found in imports(path):
                yield str(path.relative_to(ROOT)), layer_of(path), found


def test_the_imports_are_found() -> None:
    found = {(where, imported.name) for where, _, imported in every_import()}
    assert (f"{PACKAGE}/wire/exchange.py", f"{PACKAGE}.wire.kexinit") in found
    assert (f"{PACKAGE}/wire/exchange.py", f"{PACKAGE}.__version__") in found
    assert (f"{PACKAGE}/measure.py", f"{PACKAGE}.probe.engine") in found
    assert (f"{PACKAGE}/probe/login.py", "asyncssh") in found
    assert {layer_of(path) for path in MODULES} == MAY_IMPORT.keys()


def test_imports_go_down_and_never_up() -> None:
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, own, found in every_import(set(MAY_IMPORT))
        if found.name.split(".")[0] == PACKAGE and layer(found.name) not in MAY_IMPORT[own] | {own}
    ]
    assert wrong == []


def graph() -> dict[str, set[str]]:
    """Every module of the project and those of it that it imports, for types and inside functions too."""
    places = [PACKAGE, "exporter/ssh_exchange_exporter", "tests", "faults", "bench"]
    paths = [path for place in places for path in sorted((ROOT / place).rglob("*.py"))]
    names = {path: name_of(path) for path in paths}
    known = set(names.values())
    edges: dict[str, set[str]] = {}
    for path, name in names.items():
        found = {imported.name for imported in imports(path)}
        # `from .. import kernel` names a module or a value; `from ..probe import run` the module `probe.run`.
        found |= {f"{one.name}.{part}" for one in imports(path) for part in one.parts}
        edges[name] = {one.removesuffix(".__init__") for one in found} & known - {name}
    return edges


def name_of(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name.removeprefix("exporter.")


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or by others (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = graph()
    assert "check_ssh_exchange.wire.kexinit" in edges["check_ssh_exchange.wire.exchange"]
    assert "tests.lab.zoo" in edges["faults.limits"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles(edges) == []


def test_tests_faults_and_bench_share_the_lab_and_make_no_ring() -> None:
    layers = {"lab": "tests.lab", "tests": "tests", "faults": "faults", "bench": "bench"}

    def layer_of_module(name: str) -> str:
        return next((layer for layer, prefix in layers.items() if name == prefix or name.startswith(f"{prefix}.")), "")

    edges: dict[str, set[str]] = {layer: set() for layer in layers}
    for name, others in graph().items():
        if own := layer_of_module(name):
            edges[own] |= {layer for other in others if (layer := layer_of_module(other))} - {own}
    assert edges["lab"] == set()
    assert circles(edges) == []


def test_the_kit_knows_nothing_of_ssh() -> None:
    wrong = []
    for path in sorted((ROOT / PACKAGE / "plugin").glob("*.py")):
        tree = ast.parse(path.read_bytes())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        wrong += [f"{path.name}: {name}" for name in names if any(word in name.lower() for word in WORDS_OF_SSH)]
    assert wrong == []


def test_the_kits_values_are_pure() -> None:
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, _, found in every_import({"plugin"})
        if Path(where).stem in PURE_IN_PLUGIN and found.name.split(".")[0] in IMPURE_MODULES | {"os"}
    ]
    assert wrong == []


# What of check_sshd_local looks at the host, at its own process or at a clock; all else judges what was read.
LOOKS_AT_THE_HOST = {"__main__", "check", "cli", "collect", "door", "explanation", "local_probe", "trial"}


def test_findings_are_pure_and_the_host_has_one_door() -> None:
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, _, found in every_import({"host"})
        if Path(where).stem not in LOOKS_AT_THE_HOST and found.name.split(".")[0] in IMPURE_MODULES | {"os"}
    ]
    assert wrong == []
    door = {where for where, _, found in every_import({"host"}) if found.name.split(".")[0] == "subprocess"}
    assert door <= {f"{PACKAGE}/host/{name}.py" for name in ("door", "check", "trial")}


def test_the_remote_check_takes_nothing_of_the_hosts_own() -> None:
    takers = {own for _, own, found in every_import() if layer(found.name) == "host" and own != "host"}
    assert takers == set()


def test_only_main_imports_the_command_line_and_nobody_the_demo() -> None:
    importers = {where for where, _, found in every_import() if found.name == f"{PACKAGE}.remote.cli"}
    assert importers == {f"{PACKAGE}/__main__.py"}
    assert [where for where, _, found in every_import() if found.name == f"{PACKAGE}.demo"] == []


def test_the_pure_rooms_know_no_socket_no_clock_and_no_system() -> None:
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, _, found in every_import(PURE)
        if found.name.split(".")[0] in IMPURE_MODULES
        or (found.name == "os" and not where.startswith(f"{PACKAGE}/wire"))
    ]
    assert wrong == []


def test_the_pure_rooms_take_nothing_but_random_bytes_from_the_system() -> None:
    used = set()
    for path in MODULES:
        if layer_of(path) in PURE:
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                    used.add(node.attr)
                assert not (isinstance(node, ast.ImportFrom) and node.module == "os"), path
                # Neither files nor a way around the import statement.
                assert not (isinstance(node, ast.Name) and node.id in ("open", "__import__")), path
    assert used == {"urandom"}


def test_asyncssh_is_imported_by_the_login_alone_and_only_when_it_is_needed() -> None:
    found = [(where, one) for where, _, one in every_import() if one.name.split(".")[0] == "asyncssh"]
    assert {where for where, _ in found} == {f"{PACKAGE}/probe/login.py"}
    assert [one for _, one in found if one.is_at_module_level and not one.is_for_types] == []


def test_rich_is_imported_by_the_page_for_a_person_alone_and_only_when_it_is_needed() -> None:
    found = [(where, one) for where, _, one in every_import() if one.name.split(".")[0] == "rich"]
    assert {where for where, _ in found} == {f"{PACKAGE}/plugin/page.py"}
    assert [one for _, one in found if one.is_at_module_level and not one.is_for_types] == []


def test_asyncio_and_what_needs_it_are_imported_only_when_they_are_needed() -> None:
    early = [(where, one.name) for where, _, one in every_import() if one.is_at_module_level]
    needy = {where for where, name in early if name.split(".")[0] == "asyncio"}
    assert f"{PACKAGE}/probe/hosted.py" in needy
    names = {where.removesuffix(".py").replace("/", ".") for where in needy}
    assert {where for where, name in early if name in names} <= needy
    assert {where for where in needy if layer_of(ROOT / where) != "probe"} <= {f"{PACKAGE}/demo.py"}


def test_nothing_of_the_exporter_is_imported_by_the_plugin() -> None:
    assert [one for _, _, one in every_import() if one.name.split(".")[0] in OF_THE_EXPORTER] == []


EXPORTER = ROOT / "exporter" / "ssh_exchange_exporter"
# What of the exporter knows no socket, no clock and no system: told the time, handed the bytes.
PURE_IN_EXPORTER = [
    "budget/source_budget", "budget/token_bucket", "budget/wait_queue",
    "background/counters", "background/share", "background/targets", "recent_probes", "result",
    "schedulers/answer", "schedulers/command", "schedulers/ifw_api",
    "schedulers/gearman/cipher", "schedulers/gearman/fate", "schedulers/gearman/job", "schedulers/gearman/packet",
    "exposition/accept", "exposition/fleet_text", "exposition/series",
    "pages/drawing", "pages/html", "pages/landing", "pages/probe_page",
]  # fmt: skip
# Each library has its layer, so that it can be exchanged there.
LAYER_OF_LIBRARY = {
    "aiohttp": {"web", "daemon"},
    "bcrypt": {"web"},
    "ruamel": {"configuration", "web"},
    "prometheus_client": {"exposition", "gearman_metrics", "own_metrics", "web"},
    "cryptography": {"schedulers"},
}


def of_exporter() -> Iterator[tuple[str, Import]]:
    for path in sorted(EXPORTER.rglob("*.py")):
        for found in imports(path):
            yield path.relative_to(EXPORTER).as_posix().removesuffix(".py"), found


def test_the_exporters_pure_modules_know_no_socket_no_clock_and_no_system() -> None:
    assert all((EXPORTER / f"{name}.py").exists() for name in PURE_IN_EXPORTER)
    unwanted = IMPURE_MODULES - {"random"} | {"os", "aiohttp"}
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, found in of_exporter()
        if where in PURE_IN_EXPORTER and found.name.split(".")[0] in unwanted
    ]
    assert wrong == []


def test_the_exporters_libraries_stay_in_their_rooms() -> None:
    wrong = [
        f"{where}:{found.line} imports {found.name}"
        for where, found in of_exporter()
        if where.split("/")[0] not in LAYER_OF_LIBRARY.get(found.name.split(".")[0], {where.split("/")[0]})
    ]
    assert wrong == []


def test_the_exporter_uses_no_face_of_the_plugin_but_its_judgement_and_output() -> None:
    faces = {"demo", "interrupt", "__main__"}
    used = {found.name.split(".")[1] for _, found in of_exporter() if found.name.startswith(f"{PACKAGE}.")}
    assert used & faces == set()
    assert "remote" in used


def loaded(*command: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", *command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.rpartition("loaded: ")[2].split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What an interpreter loads that does nothing; an environment may add to it at its start."""
    return loaded("import sys; print('loaded:', *sys.modules)")


@pytest.mark.parametrize("script", [HEALTHY, [FIN]], ids=["served", "closed"])
@pytest.mark.parametrize("arguments", [(), ("-vvv",), ("--output-format", "json")], ids=["text", "verbose", "json"])
def test_a_run_loads_nothing_heavy(script: Script, arguments: tuple[str, ...], bare: set[str]) -> None:
    with FakeSshd(script) as server:
        modules = loaded(DRIVER, "-H", server.address, "-p", str(server.port), *arguments)
        assert len(server.peers) == 5
    assert f"{PACKAGE}.probe.run" in modules
    unwanted = NOT_LOADED if "json" in arguments else {*NOT_LOADED, "json"}
    assert unwanted & (modules - bare) == set()
    assert {name.split(".")[0] for name in modules} & OF_THE_EXPORTER == set()


def test_a_long_module_is_listed_with_its_lines(tmp_path: Path) -> None:
    for name, lines in (("exporter/long.py", LONG + 1), ("faults/longer.py", LONG + 2), ("bench/short.py", LONG)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x = 1\n" * lines)
    assert long_modules(tmp_path) == [("faults/longer.py", LONG + 2), ("exporter/long.py", LONG + 1)]
