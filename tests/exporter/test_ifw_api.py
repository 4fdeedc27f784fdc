"""The body of an Icinga request as a command line: everything that its macros can make of an option."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.schedulers.answer import Answer
from ssh_exchange_exporter.schedulers.ifw_api import MAX_WORDS, BadBodyError, reply, words

WORDS: dict[str, tuple[str, list[str]]] = {
    "a number is a string": ('{"-p": "22"}', ["-p", "22"]),
    "a flag that is set": ('{"-4": true}', ["-4"]),
    "a flag that is not": ('{"-4": false}', []),
    "a boolean as a value of a flag": ('{"-4": "true", "--exempt": "false"}', ["-4"]),
    "the same words as a value": ('{"-r": "true"}', ["-r", "true"]),
    "a list": ('{"-w": ["a=1", "b=2"]}', ["-w", "a=1", "-w", "b=2"]),
    "a list of one": ('{"-w": "a=1"}', ["-w", "a=1"]),
    "an empty list": ('{"-w": []}', []),
    "a flag in a list": ('{"-v": [true, true, true]}', ["-v", "-v", "-v"]),
    "a variable that is null": ('{"-p": ""}', []),
    "null": ('{"-p": null}', []),
    "a separator": ('{"--extra-opts=section@/file": true}', ["--extra-opts=section@/file"]),
    "a key that is skipped": ('{"somewhere": true}', ["somewhere"]),
    "numbers of JSON": ('{"-p": 22, "-t": 2.5, "-n": 5.0}', ["-p", "22", "-t", "2.5", "-n", "5"]),
    "a small number is not written with an exponent": ('{"-t": 1e-05}', ["-t", "0.00001"]),
    "nothing": ("{}", []),
}
BAD = {
    "": "the body of the request is not valid JSON",
    "{": "the body of the request is not valid JSON",
    "\xff": "the body of the request is not valid JSON",
    "[" * 100_000: "the body of the request is not valid JSON",
    '{"-p": ' + "1" * 5000 + "}": "the body of the request is not valid JSON",
    "[]": 'the body of the request must be a JSON object of options, as {"-H": "host"}',
    '"-H"': 'the body of the request must be a JSON object of options, as {"-H": "host"}',
    '{"-H": {"a": 1}}': "'-H' must be a string, a number, true or a list of these",
    '{"-w": [["a=1"]]}': "'-w' has a list in a list",
    '{"-t": NaN}': "NaN is not a number",
    '{"-t": -Infinity}': "-Infinity is not a number",
    '{"-H": "a", "-H": "b"}': "the body of the request gives an option twice: give it once, with a list",
    '{"-H": "a\\u0000b"}': "the body of the request has a NUL character",
    json.dumps({"-w": ["a=1"] * MAX_WORDS}): f"the body of the request has more than {MAX_WORDS} words",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_body_is_a_command_line(name: str) -> None:
    body, expected = WORDS[name]
    assert words(body.encode()) == expected


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:20])
def test_a_body_that_is_none_is_told_in_a_sentence(body: str) -> None:
    with pytest.raises(BadBodyError) as error:
        words(body.encode("latin-1"))
    assert str(error.value) == BAD[body]


def words_or_sentence(body: bytes) -> list[str] | str:
    try:
        return words(body)
    except BadBodyError as error:
        return str(error)


def is_answered(found: list[str] | str) -> bool:
    return bool(found) if isinstance(found, str) else all(isinstance(word, str) for word in found)


@given(st.binary(max_size=300))
def test_whatever_comes_is_words_or_a_sentence(body: bytes) -> None:
    assert is_answered(words_or_sentence(body))


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)))
def test_whatever_json_comes_is_words_or_a_sentence(body: dict[str, object]) -> None:
    assert is_answered(words_or_sentence(json.dumps(body).encode()))


def test_the_reply_is_under_the_name_that_was_asked() -> None:
    made = json.loads(reply('a "name"', Answer(2, "SSH CRITICAL - text\nmore", ("a=1;2;3", "b=2s"))))
    assert made == {
        'a "name"': {"exitcode": 2, "checkresult": "SSH CRITICAL - text\nmore", "perfdata": ["a=1;2;3", "b=2s"]}
    }
