"""Templates in Zabbix' export format 6.0: UUIDs that stay, the elements that both templates have, and their YAML."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from check_ssh_exchange import runbook
from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.remedies import REMEDIES, Remedy, Where

Value: TypeAlias = "str | Sequence[Value] | Mapping[str, Value]"
Element: TypeAlias = dict[str, Value]

VERSION = "6.0"
GROUP = "Templates/Applications"  # Zabbix' own, and with its UUID
EXPORTER = "{$SSH_EXCHANGE.URL}"
STATES = {"0": "OK", "1": "WARNING", "2": "CRITICAL", "3": "UNKNOWN"}
COLOURS = ("2ECC71", "E74C3C", "8E44AD", "F39C12", "3498DB", "7F8C8D", "D35400", "1ABC9C", "34495E", "C0392B",
           "9B59B6", "F1C40F", "16A085")  # fmt: skip


def uuid(*words: str) -> str:
    """Return the same version 4 UUID for the same words, made of their MD5 as Zabbix makes those of its templates."""
    data = bytearray(hashlib.md5("/".join(words).encode(), usedforsecurity=False).digest())
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return data.hex()


class Named(NamedTuple):
    """A template: its name, which expressions repeat, and the word that the names of its elements begin with."""

    template: str
    prefix: str

    def called(self, name: str) -> str:
        """Return the name of an element."""
        return f"{self.prefix}: {name}"

    def at(self, key: str) -> str:
        """Return an item as expressions name it."""
        return f"/{self.template}/{key}"

    def item(self, key: str, name: str, description: str, kind: str) -> Element:
        """Return what every item has."""
        made: Element = {"uuid": uuid(self.template, "item", key), "name": self.called(name), "key": key}
        made |= {"description": description, "tags": tags("component", "results")}
        made |= {} if kind == "UNSIGNED" else {"value_type": kind}  # what is the default, Zabbix does not export
        return made | ({"trends": "0"} if kind in ("CHAR", "TEXT") else {})

    def dependent(
        self, master: str, key: str, name: str, description: str, *steps: Element, kind: str = "FLOAT", **more: Value
    ) -> Element:
        """Return an item, or an item prototype, that is read from the text of its master item."""
        made = self.item(key, name, description, kind) | {"type": "DEPENDENT", "delay": "0"}
        return made | {"master_item": {"key": master}, "preprocessing": list(steps)} | more

    def discovery(self, master: str, key: str, name: str, description: str, query: str, label: str) -> Element:
        """Return a discovery rule for the values of a label, which become {#LABEL}."""
        script = "return JSON.stringify(JSON.parse(value).map(function (row) {\n"
        script += f"    return {{'{{#{label.upper()}}}': row.labels.{label}}};\n}}));"
        return {
            "uuid": uuid(self.template, "discovery", key),
            "name": self.called(name),
            "type": "DEPENDENT",
            "key": key,
            "delay": "0",
            "description": description,
            "master_item": {"key": master},
            # Without the values that change each time, discovery runs when a label has come or gone, else once an hour.
            "preprocessing": [optional(step("PROMETHEUS_TO_JSON", query)), step("JAVASCRIPT", script), unchanged("1h")],
        }

    def trigger(
        self, name: str, expression: str, priority: str, scope: str, description: str, page: str = "", /, **more: Value
    ) -> Element:
        """Return a trigger, or a trigger prototype.

        `page` is a cause, "" for the list of the runbook's pages; a macro there is for the link alone.
        """
        return {
            "uuid": uuid(self.template, "trigger", name),
            "expression": expression,
            "name": self.called(name),
            "url": f"{EXPORTER}/runbook/{page}",
            "priority": priority,
            "description": f"{description}\n\nRunbook: {EXPORTER}/runbook/{'' if '{' in page else page}",
            "tags": tags("scope", scope),
        } | more

    def host_keys(
        self, master: str, prefix: str, what: str, priority: str, says: str, opdata: str, meant: str
    ) -> Element:
        """Return the discovery of host keys, each an item with its fingerprint, by the metrics that begin so."""
        key, query = f"{prefix}.host_key[{{#TYPE}}]", f"{prefix}_host_key_info"
        made = self.dependent(
            master, key, "Host key {#TYPE}", "Its fingerprint.",
            optional(pattern(f'{query}{{type="{{#TYPE}}"}}', "fingerprint")), unchanged("1d"), kind="CHAR",
            tags=tags("component", "host keys"),
        )  # fmt: skip
        of = self.at(key)
        made["trigger_prototypes"] = [
            self.trigger(
                "Host key {#TYPE} has changed", f"last({of},#1)<>last({of},#2) and length(last({of}))>0",
                priority, "security", f"{says} Close the problem by hand.\n\n{meant}", Cause.HOST_KEY,
                recovery_mode="NONE", manual_close="YES",
                event_name=self.called("Host key {#TYPE} has changed (new: {ITEM.VALUE})"),
                opdata=f"{opdata}: {{ITEM.LASTVALUE1}}",
            )
        ]  # fmt: skip
        rule = self.discovery(master, f"{prefix}.host_keys", "Host keys", what, query, "type")
        return rule | {"item_prototypes": [made]}

    def graph(self, name: str, keys: Sequence[str], **more: Value) -> Element:
        """Return a graph, or a graph prototype, of these items."""
        items: list[Value] = [
            {**_places(sortorder=place), "color": COLOURS[place], "item": {"host": self.template, "key": key}}
            for place, key in enumerate(keys)
        ]
        return {"uuid": uuid(self.template, "graph", name), "name": self.called(name), **more, "graph_items": items}

    def valuemap(self, name: str, mappings: Mapping[str, str]) -> Element:
        """Return a value map; items name it as `{"name": name}`."""
        pairs: list[Value] = [{"value": value, "newvalue": word} for value, word in mappings.items()]
        return {"uuid": uuid(self.template, "valuemap", name), "name": name, "mappings": pairs}

    def dashboard(self, name: str, widgets: Sequence[Element]) -> Element:
        """Return a dashboard of one page."""
        made = {"uuid": uuid(self.template, "dashboard", name), "name": name}
        return {**made, "pages": [{"widgets": widgets}]}

    def widget(self, kind: str, subject: str, x: int, y: int, width: int, height: int) -> Element:
        """Return a widget for an item (by its key), a graph or a graph prototype (by its name)."""
        field, value = {
            "ITEM": ("itemid", "key"),
            "PLAIN_TEXT": ("itemids", "key"),
            "GRAPH_CLASSIC": ("graphid", "name"),
            "GRAPH_PROTOTYPE": ("graphid", "name"),
        }[kind]
        shown = {"host": self.template, value: subject if value == "key" else self.called(subject)}
        of = kind if kind == "GRAPH_PROTOTYPE" else "GRAPH" if kind == "GRAPH_CLASSIC" else "ITEM"
        fields: list[Value] = [{"type": of, "name": field, "value": shown}]
        if kind == "GRAPH_PROTOTYPE":
            fields.insert(0, {"type": "INTEGER", "name": "columns", "value": "3"})
        return {"type": kind, **_places(x=x, y=y, width=width, height=height), "fields": fields}


def _places(**numbers: int) -> Element:
    """Return numbers as Zabbix exports them: without those that are 0."""
    return {name: str(number) for name, number in numbers.items() if number}


def step(kind: str, *parameters: str) -> Element:
    """Return a step of preprocessing."""
    return {"type": kind, "parameters": list(parameters) or [""]}


def pattern(query: str, label: str = "") -> Element:
    """Return the step that reads the one value of a query, or a label of it."""
    return step("PROMETHEUS_PATTERN", query, "label" if label else "value", label)


def optional(made: Element) -> Element:
    """Return the step for what is not always there: no value then, and the item keeps the state "supported"."""
    return made | {"error_handler": "DISCARD_VALUE"}


def unchanged(heartbeat: str) -> Element:
    """Return the step that keeps a value only if it has changed, or is the first for this time."""
    return step("DISCARD_UNCHANGED_HEARTBEAT", heartbeat)


def tags(name: str, value: str) -> list[Value]:
    """Return a list of one tag."""
    return [{"tag": name, "value": value}]


def macro(name: str, value: str, description: str, **more: str) -> Element:
    """Return a user macro of a template."""
    return {"macro": f"{{${name}}}", **({"value": value} if value else {}), **more, "description": description}


def depends(*triggers: Element) -> Element:
    """Return the dependencies of a trigger: it is silent while one of these is a problem."""
    # In the order of Zabbix' exports, which passes over blanks.
    above = sorted(triggers, key=lambda one: str(one["name"]).replace(" ", "").lower())
    named: list[Value] = [{"name": one["name"], "expression": one["expression"]} for one in above]
    return {"dependencies": named} if named else {}


def meaning(cause: Cause, port: str = "{$SSH_EXCHANGE.PORT}") -> str:
    """Return what a trigger says of a cause: the first words of its runbook page, and what to run on which machine."""
    first = runbook.page(cause).split("## What it means\n\n", 1)[1].split("\n\n", 1)[0].replace("\n", " ")
    lines = [first, ""]
    for remedy in REMEDIES.get(cause, ()):
        one = remedy if isinstance(remedy, Remedy) else Remedy(Where.SERVER, remedy)
        words = {"source": "EXPORTER", "address": "{HOST.CONN}", "port": port, "entry": f"[{{HOST.CONN}}]:{port}"}
        lines.append(str(one).format(**words))
    return "\n".join([*lines, *(["EXPORTER is the exporter's address."] if "EXPORTER" in "".join(lines) else [])])


def export(  # noqa: PLR0913 - the parts of a template
    named: Named,
    *,
    description: str,
    macros: Sequence[Element],
    items: Sequence[Element],
    triggers: Sequence[Element],
    discovery_rules: Sequence[Value],
    graphs: Sequence[Value],
    dashboards: Sequence[Value],
    valuemaps: Sequence[Value],
) -> str:
    """Return the file of one template. A trigger of one item stands with the item, as in Zabbix' own exports."""
    shared: list[Value] = []
    own: dict[str, list[Value]] = {str(item["key"]): [] for item in items}
    for trigger in triggers:
        words = re.split("[(),]", str(trigger["expression"]))
        of = [key for key in own if named.at(key) in words]
        (own[of[0]] if len(of) == 1 else shared).append(trigger)
    complete = [item | ({"triggers": own[str(item["key"])]} if own[str(item["key"])] else {}) for item in items]
    ordered = sorted(macros, key=lambda one: str(one["macro"]).strip("{}"))
    template: Element = {
        "uuid": uuid(named.template),
        "template": named.template,
        "name": named.template,
        "description": description,
        "groups": [{"name": GROUP}],
        "items": complete,
        "discovery_rules": discovery_rules,
        "tags": [*tags("class", "software"), *tags("target", "ssh")],
        "macros": ordered,
        "dashboards": dashboards,
        "valuemaps": valuemaps,
    }
    document: Element = {"version": VERSION, "groups": [{"uuid": uuid(GROUP), "name": GROUP}], "templates": [template]}
    document |= {"triggers": shared, "graphs": graphs}
    return "\n".join(_lines({"zabbix_export": document})) + "\n"


def _lines(value: Value, indent: str = "") -> Iterator[str]:
    """Yield the lines of YAML; every scalar is quoted, so that none is a number or a date."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if isinstance(one, str):
                yield from _scalar(f"{indent}{key}: ", one, indent)
            else:
                yield f"{indent}{key}:"
                yield from _lines(one, indent + "  ")
    else:
        for one in value:
            if isinstance(one, str):
                yield from _scalar(f"{indent}- ", one, indent)
            else:
                first, *rest = _lines(one, indent + "  ")
                yield f"{indent}- {first.lstrip()}"
                yield from rest


def _scalar(start: str, text: str, indent: str) -> Iterator[str]:
    if "\n" not in text:
        yield start + "'" + text.replace("'", "''") + "'"
        return
    yield f"{start}|-"
    yield from (f"{indent}  {line}".rstrip() for line in text.split("\n"))
