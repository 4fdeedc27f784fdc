"""The command line: what is refused, in one sentence each, and what an ini file may add to it."""

import pytest

from check_ssh_exchange import __version__
from check_ssh_exchange.diagnosis.figures import DEFAULT_WARNING, LABELS
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.plan import Plan, Target
from check_ssh_exchange.remote.options import parse, parser

from .lab.front_door import check, refusal

HOST = ("-H", "127.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["-x"], "unrecognized arguments: -x"),
        (["--verb"], "unrecognized arguments: --verb"),
        (["a.example", "b.example"], "unrecognized arguments: b.example"),
        (["-p"], "argument -p/--port: expected one argument"),
        (["-p", "0"], "argument -p/--port: '0' is not a valid port: use 1 to 65535"),
        (["-p", "70000"], "argument -p/--port: '70000' is not a valid port: use 1 to 65535"),
        (["-p", "abc"], "argument -p/--port: 'abc' is not a valid port: use 1 to 65535"),
        (["-p", "-22"], "argument -p/--port: expected one argument"),
        (["-p", ""], "argument -p/--port: '' is not a valid port: use 1 to 65535"),
        (["-p", " 22"], "argument -p/--port: ' 22' is not a valid port: use 1 to 65535"),
        (["-p", "2_2"], "argument -p/--port: '2_2' is not a valid port: use 1 to 65535"),
        (["-p", "٢٢"], r"argument -p/--port: '\xd9\xa2\xd9\xa2' is not a valid port: use 1 to 65535"),
        (["-n", "0"], "argument -n/--handshakes: '0' is not a valid number of handshakes: use 1 to 10000"),
        (["-n", "99999"], "argument -n/--handshakes: '99999' is not a valid number of handshakes: use 1 to 10000"),
        (["-n", "2.5"], "argument -n/--handshakes: '2.5' is not a valid number of handshakes: use 1 to 10000"),
        (["--concurrency", "0"], "argument --concurrency: '0' is not a valid number of handshakes: use 1 to 10000"),
        (["--control-port", "0"], "argument --control-port: '0' is not a valid port: use 1 to 65535"),
        (["--window", "0s"], "argument --window: '0s' is not a valid duration: use 1s to 7d, as in 90s, 15m, 1h or 1d"),
        (["--window", "8d"], "argument --window: '8d' is not a valid duration: use 1s to 7d, as in 90s, 15m, 1h or 1d"),
        (["--window", "1w"], "argument --window: '1w' is not a valid duration: use 1s to 7d, as in 90s, 15m, 1h or 1d"),
        (
            ["--max-startups", "10:30"],
            "argument --max-startups: '10:30' is not a valid MaxStartups setting, as in 10:30:100 or 12",
        ),
        (["-H", "ssh://a"], "argument -H/--hostname/--host: leave out ssh:// and write a"),
        (["-H", "root@a"], "argument -H/--hostname/--host: leave out root@ and write a"),
        (["127.0.0.1:2222"], "argument HOST: write the port as an option: -H 127.0.0.1 -p 2222"),
        (["-H", "[::1]:2222"], "argument -H/--hostname/--host: write the port as an option: -H [::1] -p 2222"),
        (["-S", "localhost"], "argument -S/--source: 'localhost' is not a valid IPv4 or IPv6 address"),
        (["-S", "127.0.0.256"], "argument -S/--source: '127.0.0.256' is not a valid IPv4 or IPv6 address"),
        (["-S", ""], "argument -S/--source: '' is not a valid IPv4 or IPv6 address"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: list[str], sentence: str) -> None:
    assert refusal(*HOST, *arguments) == sentence


@pytest.mark.parametrize(
    ("option", "choices"), [("--depth", "banner, kexinit, hostkey, kex, login"), ("--output-format", "text, json")]
)
def test_a_word_that_is_no_choice_is_named_with_the_choices(option: str, choices: str) -> None:
    # Some versions of Python put the choices in quotes.
    told = refusal(*HOST, option, "deep").replace("'", "")
    assert told == f"argument {option}: invalid choice: deep (choose from {choices})"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e3", "1e-1", "abc", "", "1_0", "٣", "3601", "0.0", " 1"])
def test_a_timeout_that_is_no_usable_number_of_seconds_is_named(text: str) -> None:
    shown = repr(text) if text.isascii() else r"'\xd9\xa3'"
    assert refusal(*HOST, f"--timeout={text}") == (
        f"argument -t/--timeout: {shown} is not a valid number of seconds: use a number above 0 and up to 3600"
    )


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("", "''"),
        (" ", "' '"),
        ("two words", "'two words'"),
        ("a\tb", r"'a\x5ctb'"),
        ("a\nb", r"'a\x5cnb'"),
        ("a\x1b[2J", r"'a\x5cx1b[2J'"),
        ("h" * 256, f"'{'h' * 77}...'"),
    ],
)
@pytest.mark.parametrize("option", ["-H", "--hostname=", ""])
def test_a_host_that_is_none_is_named(host: str, shown: str, option: str) -> None:
    by_option = [f"{option}{host}"] if option.endswith("=") else [option, host] if option else [host]
    name = "-H/--hostname/--host" if option else "HOST"
    assert refusal(*by_option) == f"argument {name}: {shown} is not a valid host name or address"


def test_bytes_that_are_no_text_are_refused_like_any_bad_host() -> None:
    assert (
        refusal("-H", b"\xff\xfe")
        == r"argument -H/--hostname/--host: '\x5cudcff\x5cudcfe' is not a valid host name or address"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no host is given: check_ssh_exchange -H HOST"),
        (["-v"], "no host is given: check_ssh_exchange -H HOST"),
        (["-H", "a.example", "b.example"], "two hosts are given, a.example and b.example"),
        ([*HOST, "-4", "-6"], "-4 and -6 exclude each other; leave both out to use both families"),
        ([*HOST, "-6", "-S", "127.0.0.1"], "the source addresses and the address family do not match"),
        ([*HOST, "-4", "-S", "::1"], "the source addresses and the address family do not match"),
        ([*HOST, "-S", "127.0.0.1", "-S", "::1"], "the source addresses and the address family do not match"),
        ([*HOST, *["-S", "127.0.0.1"] * 3], "more than two source addresses are given"),
        ([*HOST, "--depth", "login"], "depth login needs --user and --identity"),
        ([*HOST, "--depth", "login", "--user", "u"], "depth login needs --user and --identity"),
        ([*HOST, "--depth", "login", "--identity", "f"], "depth login needs --user and --identity"),
        ([*HOST, "--user", "u"], "--user and --identity are for depth login"),
        ([*HOST, "--identity", "f"], "--user and --identity are for depth login"),
        ([*HOST, "--known-hosts", "f"], "--known-hosts is for the depths hostkey, kex and login"),
    ],
)
def test_options_that_do_not_fit_together_are_named(arguments: list[str], sentence: str) -> None:
    assert refusal(*arguments) == sentence


@pytest.mark.parametrize(
    ("option", "host", "family"),
    [
        ("-4", "::1", "IPv4"),
        ("-4", "[::1]", "IPv4"),
        ("-6", "127.0.0.1", "IPv6"),
        ("-S::1", "127.0.0.1", "IPv6"),
    ],
)
def test_a_literal_of_the_other_family_is_named(option: str, host: str, family: str) -> None:
    answer = check(option, host)
    assert (answer.code, answer.err) == (3, "")
    assert answer.line == f"SSH UNKNOWN - the host {host} is not a valid {family} address"
    assert answer.out.count("\n") == 1


@pytest.mark.parametrize("option", ["-w", "--critical"])
@pytest.mark.parametrize(
    "spec",
    ["", "@", ":", "~", "1:2:3", "abc", "1e3", "inf", "nan", "1_0", "٣", " 5", "5%", "5s", "6:5", "-5", "9" * 5000],
)
def test_a_bad_range_is_named(option: str, spec: str) -> None:
    name = {"w": "-w/--warning", "c": "-c/--critical"}[option.strip("-")[0]]
    told = refusal(*HOST, option, f"early_close={spec}")
    if len(spec) > 100:
        assert told.startswith(f"argument {name}: '9999999999")
    elif spec in ("6:5", "-5"):
        assert told == f"argument {name}: {spec!r} is not a valid range: it ends before it begins"
    else:
        shown = repr(spec) if spec.isascii() else r"'\xd9\xa3'"
        assert told == f"argument {name}: {shown} is not a valid Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"


@pytest.mark.parametrize("option", ["-w/--warning", "-c/--critical"])
def test_a_bad_label_and_a_missing_one_are_named(option: str) -> None:
    letter = option[:2]
    assert refusal(*HOST, letter, "speed=1") == (
        f"argument {option}: 'speed' is not a perfdata label; these are: {', '.join(LABELS)}"
    )
    assert refusal(*HOST, letter, "5") == f"argument {option}: '5' is not a valid LABEL=RANGE, as in handshakes=5"


def test_a_bad_word_and_a_bad_state_are_named() -> None:
    told = refusal(*HOST, "--state", "sleepy=ok")
    assert told.startswith(f"argument --state: 'sleepy' is not an ending or a cause; these are: {', '.join(Ending)}, ")
    assert refusal(*HOST, "--state", "closed=fine") == (
        "argument --state: 'closed=fine' does not name a state: ok, warning, critical or unknown"
    )
    assert refusal(*HOST, "--state", "closed") == (
        "argument --state: 'closed' does not name a state: ok, warning, critical or unknown"
    )


# --- texts


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_option_and_is_no_ok(option: str) -> None:
    answer = check(option)
    assert (answer.code, answer.err) == (3, "")
    assert answer.out.startswith("usage: check_ssh_exchange -H HOST [options]\n")
    for action in parser()._actions:
        for word in action.option_strings:
            assert word in answer.out


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_is_one_line_and_no_ok(option: str) -> None:
    assert check(option) == (3, f"check_ssh_exchange {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        [*HOST, "-h"],
        ["-h", "-V"],
        ["-h", "-p", "0"],
        ["-p", "0", "-h"],
        ["--nonsense", "-h"],
        ["-4", "-6", "-vh"],
        ["-w", "early_close=x", "--help"],
        ["--extra-opts=@/nowhere", "-h"],
    ],
)
def test_help_overrides_everything_else(arguments: list[str]) -> None:
    assert check(*arguments) == check("-h")


# --- what is understood


def test_the_defaults_are_those_of_the_contract() -> None:
    options = parse(["-H", "host.example"])
    assert options.target == Target("host.example", 22)
    assert options.plan == Plan(handshakes=5, concurrency=None, depth=Depth.KEXINIT, timeout=10.0)
    assert options.plan.at_once == 4
    # The last one only ever finds a figure where a state file is kept.
    assert options.expectations.thresholds.warning == {"early_close": "0", "banner_p50": "1", "early_close_window": "1"}
    assert options.expectations.thresholds.critical == {"early_close": "50", "banner_p50": "5"}
    assert (options.verbosity, options.is_json) == (0, False)


def test_the_default_concurrency_is_the_smaller_of_the_rest_and_8() -> None:
    assert [parse([*HOST, "-n", str(n)]).plan.at_once for n in (1, 2, 5, 9, 10, 100)] == [1, 1, 4, 8, 8, 8]


@pytest.mark.parametrize(
    "arguments",
    [
        ["h.example"],
        ["--hostname", "h.example"],
        ["--hostname=h.example"],
        ["-Hh.example"],
        ["-H", "h.example", "h.example"],
        ["--", "h.example"],
    ],
)
def test_a_host_may_be_positional(arguments: list[str]) -> None:
    assert parse(arguments) == parse(["-H", "h.example"])


@pytest.mark.parametrize("spelled", [["-t", "0.5"], ["--timeout=.5"], ["-t0.50"]])
def test_a_timeout_may_have_decimals(spelled: list[str]) -> None:
    assert parse([*HOST, *spelled]).plan.timeout == 0.5


@pytest.mark.parametrize(
    ("arguments", "family"),
    [([], "any"), (["-4"], "ipv4"), (["-6"], "ipv6"), (["-S", "127.0.0.2"], "ipv4"), (["-S", "::1"], "ipv6"),
     (["-4", "-S", "127.0.0.2", "-S", "127.0.0.3"], "ipv4"), (["-S", "fe80::1%lo"], "ipv6")],
)  # fmt: skip
def test_the_family_is_what_the_options_leave(arguments: list[str], family: str) -> None:
    assert parse(["-H", "h.example", *arguments]).plan.family == family


def test_repeated_thresholds_and_lists_add_up_and_the_last_one_holds() -> None:
    options = parse([*HOST, "-w", "failed=1,timeout=0", "-w", "failed=2", "-w", "banner_p50=0:9"])
    expected = options.expectations.thresholds
    assert expected.warning == {**DEFAULT_WARNING, "banner_p50": "0:9", "failed": "2", "timeout": "0"}
    assert expected.critical == {"early_close": "50", "banner_p50": "5"}
