"""What a Containerfile of this project has to keep, as rules; what is a matter of taste is not among them."""

import json
import re
from collections.abc import Iterator

LABELS = ("title", "description", "licenses", "version", "revision")


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile, each with its words, without comments."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(name, words.strip()) for name, _, words in (line.partition(" ") for line in joined.splitlines() if line)]


def complaints(text: str) -> list[str]:
    """Return what is wrong with it, a sentence each."""
    found = instructions(text)
    first = [number for number, (name, _) in enumerate(found) if name == "FROM"]
    last = found[first[-1] :]
    return [*of_the_base(found), *of_shells(found), *of_the_build(found[: first[-1]]), *of_the_image(last)]


def of_the_base(found: list[tuple[str, str]]) -> Iterator[str]:
    """Look at the base: given by ARG, a plain name with a version."""
    base = dict(words.split("=", 1) for name, words in found if name == "ARG" and "=" in words).get("BASE", "")
    name, _, tag = base.rpartition(":")
    if not name or tag == "latest":
        yield "the base has no version"
    if "/" in base:
        yield "the base names a registry"
    if any(words.split()[0] != "${BASE}" for name, words in found if name == "FROM"):
        yield "a stage is not from BASE"


def of_shells(found: list[tuple[str, str]]) -> Iterator[str]:
    """Look at what is started: without a shell, so as a list in JSON."""
    for name, words in found:
        if name in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"):
            command = words.partition("CMD ")[2] if name == "HEALTHCHECK" else words
            try:
                is_list = isinstance(json.loads(command), list)
            except ValueError:
                is_list = False
            if not is_list:
                yield f"{name} needs a shell"


def of_the_build(found: list[tuple[str, str]]) -> Iterator[str]:
    """Look at the first stage: libraries come by their hashes, and nothing stays in pip's cache."""
    installs = [words for name, words in found if name == "RUN" and '"install"' in words]
    if not any('"--require-hashes"' in words for words in installs):
        yield "libraries without hashes"
    if any('"--no-cache-dir"' not in words or '"--no-deps"' not in words for words in installs):
        yield "pip installs more than is asked for"


def of_the_image(found: list[tuple[str, str]]) -> Iterator[str]:
    """Look at the last stage: what is in the image, and who runs it."""
    said = dict(found)
    user = said.get("USER", "0")
    if not re.fullmatch(r"\d+(:\d+)?", user):
        yield "the user is not a number"
    elif user.split(":")[0] == "0":
        yield "the user is root"
    names = [name for name, _ in found]
    if "RUN" in names:
        yield "the last stage runs something"
    if "ADD" in names:
        yield "ADD instead of COPY"
    if any(words.split()[0] == "." for name, words in found if name == "COPY"):
        yield "the last stage copies the source"
    if said.get("STOPSIGNAL", "SIGTERM") not in ("SIGTERM", "SIGINT"):
        yield "the exporter cannot stop"
    for wanted in ("ENTRYPOINT", "CMD", "HEALTHCHECK", "EXPOSE"):
        if wanted not in names:
            yield f"no {wanted}"
    yield from (
        f"no label {name}" for name in LABELS if f"org.opencontainers.image.{name}=" not in said.get("LABEL", "")
    )
