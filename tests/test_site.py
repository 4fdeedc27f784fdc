"""The site's pages name what there is: where each block of code comes from, options, metrics, words, paths, figures."""

import re
from functools import cache
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host import items, openmetrics
from check_ssh_exchange.host.options import parser as local_parser
from check_ssh_exchange.remote.options import parser as remote_parser
from ssh_exchange_exporter.flags import parser as exporter_parser
from tests.site import layout
from tests.site.blocks import DOCS, PROMPT, README, ROOT, Block, blocks_of, every_block, pages, with_output
from tests.site.masking import masked
from tests.site.scenes import SCENES

BLOCKS = every_block()
SOURCES = [path for room in ("check_ssh_exchange", "exporter") for path in sorted((ROOT / room).rglob("*.py"))]
# Words of other programs: options of ours they are not, and files of theirs.
OTHERS_OPTIONS = {"--no-colors"}
OTHERS_WORDS = {
    "authorized_keys", "check_ssh", "only_from", "no_access", "ssh_failure",
}  # fmt: skip
PLACES = ("contrib", "docs", "exporter", "tests", "check_ssh_exchange", "bench", "faults")


def name_of(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.page.read_text('utf-8')[: block.start].count(chr(10))}"


# --- blocks


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_block_says_where_it_comes_from(block: Block) -> None:
    assert block.kind in ("run", "from", "checked"), "a comment before it is missing: docs/layout.md, The site"
    if block.kind == "run":
        assert block.name in SCENES
        assert block.body.startswith(PROMPT)
        assert any(output for _, output in block.steps), "nothing is shown: python -m tests.site"
    else:
        assert (ROOT / block.name).is_file()


def without_indentation(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "from"], ids=name_of)
def test_the_lines_of_a_block_stand_so_in_the_file_that_it_names(block: Block) -> None:
    whole = without_indentation((ROOT / block.name).read_text("utf-8"))
    assert f"\n{without_indentation(block.body)}\n" in f"\n{whole}\n"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "checked"], ids=name_of)
def test_a_test_that_tries_a_block_reads_it_from_its_page(block: Block) -> None:
    assert block.page.relative_to(DOCS).as_posix() in (ROOT / block.name).read_text("utf-8")


def test_blocks_are_read_and_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "* x\n\n  <!-- run: healthy -->\n  ```console\n  $ a \\\n  > b\n  1\n\n  2\n  $ c\n  ```\n\n```\nd\n```\n"
    )
    first, second = blocks_of(page)
    assert first.steps == [("a \\\nb", "1\n\n2\n"), ("c", "")]
    assert (first.kind, first.name, second.kind, second.body) == ("run", "healthy", "", "d\n")
    assert with_output(first, ["3\n", "4\n\n"]) == "  $ a \\\n  > b\n  3\n  $ c\n  4\n"


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("banner 3.1 ms | banner_p50=0.0031s;1;5;0", "banner 12.0 ms | banner_p50=0.012s;1;5;0"),
        ("closed 22.4 to 38.9 ms after", "closed 7.11 to 9 ms after"),
        ('"banner":0.03,"connect":5e-06,"source_port":38514', '"banner":0.1,"connect":0.001,"source_port":1'),
        ("#1 burst 192.0.2.7:36890 to", "#1 burst 192.0.2.7:1 to"),
        ("#1 burst ▄▄▄█✓ completed", "#1 burst ▄█████✓ completed"),
        (
            "▄ banner █ kexinit ✓ completed ✗ failed // pauses, up to 1 s",
            "▁ connect ▄ banner ✓ completed ✗ failed\n// pauses",
        ),
        ("Connection closed by remote host", "read: Connection reset by peer"),
        ("no try before 11:35:21", "no try before 23:00:01"),
        ("time    2026-11-28 11:32:33 +0000, took 861 ms", "time    2027-01-01 00:00:00 +0000, took 1 s"),
    ],
)
def test_what_varies_does_not_count(shown: str, printed: str) -> None:
    assert masked(shown) == masked(printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("2 of 10 handshakes", "3 of 10 handshakes"),
        ("probe_success 0.0", "probe_success 1.0"),
        ("OpenSSH_9.2p1", "OpenSSH_9.3p1"),
        ("from 192.0.2.22", "from 192.0.2.23"),
        ("check_ssh v2.3.3", "check_ssh v2.3.4"),
        ("early_close=40%", "early_close=50%"),
        ("exit code 1", "exit code 2"),
        ("MaxStartups 10:30:100", "MaxStartups 10:60:100"),
        ("#1 burst ▄▄▄█✓ completed", "#1 burst ▄▄▄█✗ completed"),
    ],
)
def test_what_a_page_says_counts(shown: str, printed: str) -> None:
    assert masked(shown) != masked(printed)


# --- words


@cache
def code(page: Path) -> list[str]:
    """What stands in backticks in the text of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@cache
def options() -> set[str]:
    parsers = (remote_parser(), local_parser(), exporter_parser())
    return {word for one in parsers for action in one._actions for word in action.option_strings}


@cache
def known_words() -> set[str]:
    """Every name in the sources, the words of the code's tables, and what the exporter's README documents."""
    source = "\n".join(path.read_text("utf-8") for path in SOURCES)
    shipped = [path for path in sorted((ROOT / "contrib").rglob("*")) if path.suffix in (".cfg", ".conf", ".yml")]
    documented = "".join(
        path.read_text("utf-8") for path in [ROOT / "exporter/README.md", ROOT / "setup.cfg", *shipped]
    )
    return {
        *re.findall(r"[\"']([a-z]\w+)[\"']", source), *re.findall(r"\w+", documented), *LABELS, *Cause, *Ending,
        *items.LABELS, *items.NAMES, *openmetrics.FAMILIES,
        *(f"{name}_info" for name in openmetrics.FAMILIES), *(path.stem for path in SOURCES),
    }  # fmt: skip


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_only_what_there_is(page: Path) -> None:
    unknown = []
    for words in code(page):
        unknown += [word for word in re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", words) if word not in options()]
        for word in re.findall(r"(?<![\w./{$-])[a-z]+(?:_[a-z0-9]+)+(?![\w./-])", words):
            unknown += [word] if word not in known_words() else []
        for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(PLACES)})/[\w./-]*\w", words):
            unknown += [path] if not (ROOT / path).exists() else []
    assert set(unknown) <= OTHERS_OPTIONS | OTHERS_WORDS


def test_a_page_names_targets_of_make_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = {word for page in pages() for text in code(page) for word in re.findall(r"^make ([\w-]+)", text)}
    assert {"bench", "demo", "docs"} <= named
    assert [word for word in named if not re.search(rf"^{word}:", makefile, re.MULTILINE)] == []


def test_every_cause_has_its_section_with_evidence_and_what_cannot_be_told() -> None:
    text = (DOCS / "decide.md").read_text("utf-8").partition("\n## Evidence")[2]
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == [str(cause) for cause in Cause]
    for section in sections.values():
        evidence, cannot = section.split("**Cannot be told from:**")
        assert len(evidence.partition("**Evidence:**")[2].split()) >= 10
        assert len(cannot.split()) >= 10


# --- figures


def test_the_figures_of_the_tables_are_those_that_were_measured() -> None:
    measured = "".join((ROOT / name).read_text("utf-8") for name in ("bench/RESULTS.md", "docs/scaling.md"))
    told = []
    for name in ("costs.md", "comparison.md"):
        rows = [
            line for line in (DOCS / name).read_text("utf-8").splitlines() if line.startswith("| ") and "CPU" in line
        ]
        told += re.findall(r"(?<![\w.])(\d+(?:\.\d+)?) (?:ms|us)", "".join(rows))
        rows = [line for line in (DOCS / name).read_text("utf-8").splitlines() if "| a " in line or "`/probe`" in line]
        told += re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)(?= ms| us| \|)", "".join(rows))
    assert len(told) >= 8
    assert [figure for figure in told if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.]\d)", measured)] == []


def test_the_error_of_the_times_is_the_one_that_was_measured() -> None:
    (measured,) = re.findall(
        r"\| median error (\d+) us, worst (\d+) us ", (ROOT / "bench/RESULTS.md").read_text("utf-8")
    )
    page = (DOCS / "measure.md").read_text("utf-8")
    assert re.findall(r"off by (\d+) us in the median and (\d+) us at\s+worst", page) == [measured]


# The bounds in docs/security.md, by the constants that hold them.
BOUNDS = {
    "lines before an identification": ("check_ssh_exchange/wire/identification.py", "MAX_LINES"),
    "bytes of such a line": ("check_ssh_exchange/wire/identification.py", "MAX_LINE"),
    "bytes of a packet before the keys": ("check_ssh_exchange/wire/packet.py", "MAX_PACKET"),
    "bytes of tolerated packets before the goal": ("check_ssh_exchange/wire/exchange.py", "MAX_BEFORE_GOAL"),
    "characters kept of a server's words": ("check_ssh_exchange/wire/exchange.py", "MAX_TEXT"),
    "characters of them in the status line": ("check_ssh_exchange/remote/status_line.py", "MAX_TEXT"),
    "characters of a whole output": ("check_ssh_exchange/plugin/output.py", "MAX_OUTPUT"),
}


@pytest.mark.parametrize("what", BOUNDS)
def test_a_bound_is_the_one_of_the_code(what: str) -> None:
    path, constant = BOUNDS[what]
    (told,) = re.findall(
        rf"^\| {re.escape(what)} \| (\d+) \|$", (DOCS / "security.md").read_text("utf-8"), re.MULTILINE
    )
    (value,) = re.findall(rf"^{constant} = ([\d_]+(?: << \d+)?)", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    number, _, shift = value.replace("_", "").partition(" << ")
    assert int(told) == int(number) << int(shift or 0)


def test_the_readme_is_among_the_pages() -> None:
    assert README in pages()


# --- the picture of the packages


def test_the_picture_is_that_of_the_imports() -> None:
    assert layout.PICTURE.read_text("utf-8") == layout.picture(), "python -m tests.site.layout draws it"


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    edges = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert layout.direct(edges) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert layout.package("check_ssh_exchange.wire.packet") == "wire"
    assert layout.package("tests.lab.zoo") == ""
