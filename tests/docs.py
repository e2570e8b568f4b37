"""The parts of the documentation that are made from the product, so that they cannot disagree with it.

`make docs` rewrites them in place; tests/unit/test_docs.py fails while they are out of date. There are two kinds: a
block between `<!-- made: NAME -->` and `<!-- end -->` is what the function of that name returns, and a ```text fence
after ```yaml fences is what `reconciler validate` prints for these files. A fence that names its file (```yaml
over.yaml) says so; otherwise it is topology.yaml.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from reconciler import cli, features
from reconciler.commands import excerpts, flags
from reconciler.load import fields
from reconciler.render import metrics
from tests import driver_docs
from tests.differential import explained

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_EXAMPLE = re.compile(r"((?:```yaml[^\n]*\n(?:(?!```).*\n)*```\n+)+)```text\n(?:(?!```).*\n)*```")
_FENCE = re.compile(r"```yaml([^\n]*)\n((?:(?!```).*\n)*)```")

_OPTIONS = "networks.*.options"
SECTIONS = (
    ("The whole file", ""),
    ("An entry of `pools`", "pools.*"),
    ("A host: `hosts.NAME`", "hosts.*"),
    ("A network: `networks.NAME`", "networks.*"),
    ("A subnet in long form: an entry of `subnets`", "networks.*.subnets.*"),
    *((f"`options` of the {driver} driver", f"{_OPTIONS}:{driver}") for driver in fields.option_schemas()),
    ("A sandbox: `sandboxes.NAME`", "sandboxes.*"),
    ("`host` of a sandbox in long form", "sandboxes.*.host"),
    ("An endpoint: `endpoints.INTERFACE` of a sandbox", "sandboxes.*.endpoints.*"),
    ("`bandwidth` of an endpoint", "sandboxes.*.endpoints.*.bandwidth"),
    ("`impair` of an endpoint", "sandboxes.*.endpoints.*.impair"),
    ("A route: an entry of `routes` of a sandbox", "sandboxes.*.routes.*"),
    ("A check: an entry of `checks`", "checks.*"),
)


def pages() -> list[Path]:
    """Every page of documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def made(text: str) -> str:
    """A page with everything that is made from the product made afresh."""
    text = _BLOCK.sub(lambda match: f"{match[1]}{_block(match[2])}{match[3]}", text)
    return _EXAMPLE.sub(lambda match: f"{match[1]}```text\n{validated(_files(match[1]))}```", text)


def _block(name: str) -> str:
    kind, _, driver = name.partition("-of-")
    match kind:
        case "options" if driver:
            return "\n".join([*_fields(f"{_OPTIONS}:{driver}"), ""])
        case "example" if driver:
            return _fenced("yaml", str(driver_docs.example(driver).relative_to(ROOT)))
        case _:
            return BLOCKS[name]()


# ------------------------------------------------------------------------------------------------------ the examples


def _files(fences: str) -> dict[str, str]:
    return {name.strip() or "topology.yaml": text for name, text in _FENCE.findall(fences)}


def validated(files: Mapping[str, str]) -> str:
    """What `reconciler validate` says of files with these names and texts."""
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf-8")
        excerpts.lines_of.cache_clear()  # it remembers the file of that name in the folder before
        with redirect_stdout(output), redirect_stderr(output):
            cli.main(["validate", "--color", "never", *(n for n in files if not n.endswith(".lock.yaml"))])
    return output.getvalue()


# -------------------------------------------------------------------------------------------------------- the blocks


def field_tables() -> str:
    """The reference of the topology file: one table for each kind of map, from the schema's own words."""
    return "\n".join(_section(title, path) for title, path in SECTIONS)


def _section(title: str, path: str) -> str:
    return "\n".join([f"### {title}", "", *_fields(path), ""])


def _fields(path: str) -> list[str]:
    """A map in words, and a table of its keys."""
    path, _, driver = path.partition(":")
    parent = fields.describe(path, driver or None)
    docs = {
        name: fields.describe(f"{path}.{name}" if path else name, "" if name == "options" else driver or None)
        for name, _ in parent.children
    }
    rows = (
        (_key(name, parent), doc.type, _code(doc.default), _meaning(doc))
        for name, doc in docs.items()
        if not doc.not_yet
    )
    lines = [parent.description]
    if docs:
        lines += ["", *_table(("key", "value", "default", "meaning"), rows)]
    if later := [f"`{name}`" for name, doc in docs.items() if doc.not_yet]:
        lines += ["", f"Reserved, not realised yet: {', '.join(later)}."]
    return lines


def _key(name: str, parent: fields.FieldDoc) -> str:
    return f"`{name}`{' (required)' if name in parent.required else ''}"


def _meaning(doc: fields.FieldDoc) -> str:
    parts = [doc.description]
    if doc.allowed:
        parts.append(f"One of {', '.join(_code(value) for value in doc.allowed)}.")
    if doc.limits and doc.limits != f"must be {doc.type}":
        parts.append(f"{doc.limits[0].upper()}{doc.limits[1:]}.")
    if doc.examples:
        parts.append(f"Example: {', '.join(_code(example) for example in doc.examples)}.")
    return " ".join(parts)


def driver_list() -> str:
    """Which drivers exist."""
    network = fields.whole()["properties"]["networks"]["additionalProperties"]
    driver = network["properties"]["driver"]
    return f"Drivers: {', '.join(map(_code, driver['enum']))}.\n"


def _fenced(language: str, file: str) -> str:
    return f"```{language}\n{(ROOT / file).read_text(encoding='utf-8')}```\n"


def command_table() -> str:
    """The commands with what their `--help` says."""
    rows = ((f"`{name}`", text) for name, (text, _) in flags.COMMANDS.items())
    return "\n".join([*_table(("command", "does"), rows), ""])


def feature_table() -> str:
    """What the kernel may be asked for, by the names that `doctor` uses."""
    rows = (
        (f"`{f.name}`", f.sort.value, f.use, f"`{f.module}`", f"`{f.option}`")
        for f in features.FEATURES.values()
    )
    return "\n".join([*_table(("feature", "is a", "needed by", "module", "option"), rows), ""])


def metric_table() -> str:
    """What a watch measures."""
    rows = (
        (
            f"`{m.name}`" + (f" by {', '.join(f'`{name}`' for name in m.labels)}" if m.labels else ""),
            m.type,
            m.help,
        )
        for m in metrics.METRICS
    )
    return "\n".join([*_table(("metric", "type", "meaning"), rows), ""])


def module_table() -> str:
    """Layers and modules, from the import contracts and the modules' docstrings; a package with layers of its own opened."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = {c["containers"][0]: c["layers"] for c in contracts if c["type"] == "layers"}
    return "\n".join([*_table(("module", "its one job"), _modules("reconciler", layers)), ""])


def _modules(package: str, layers: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    folder = ROOT / package.replace(".", "/")
    prefix = package.partition(".")[2].replace(".", "/") + "/" if "." in package else ""
    for name in (part.strip("() ") for layer in layers[package] for part in layer.split(":")):
        is_package = (folder / name).is_dir()
        file = folder / name / "__init__.py" if is_package else folder / f"{name}.py"
        if file.exists():
            yield f"`{prefix}{name}{'/' * is_package}`", _first_sentence(file)
        if f"{package}.{name}" in layers:
            yield from _modules(f"{package}.{name}", layers)


def _first_sentence(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = re.split(r"\.\s|\n\n", docstring, maxsplit=1)[0]
    return " ".join(first.split()).rstrip(".:")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_row(head), f"|{'---|' * len(head)}", *(_row(row) for row in rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(value: str | None) -> str:
    return "" if value is None else f"`{value}`"


def policy_table() -> str:
    """The rules of a policy, from its schema's own words."""
    schema = json.loads((ROOT / "schemas/policy.schema.json").read_text(encoding="utf-8"))
    rows = (
        (
            f"`{name}`",
            _code(json.dumps(rule["default"])) if "default" in rule else "none",
            rule["description"],
        )
        for name, rule in schema["properties"].items()
    )
    return "\n".join([*_table(("rule", "default", "meaning"), rows), ""])


BLOCKS: Mapping[str, Callable[[], str]] = {
    "fields": field_tables,
    "drivers": driver_list,
    "commands": command_table,
    "features": feature_table,
    "metrics": metric_table,
    "modules": module_table,
    "policy-table": policy_table,
    "in-place": lambda: "\n".join(
        [*_table(("link", "attribute", "a change of it"), driver_docs.in_place_rows()), ""]
    ),
    "example-topology": lambda: _fenced("yaml", "tests/example/router.yaml"),
    "example-test": lambda: _fenced("python", "tests/example/test_network.py"),
    "plugin-project": lambda: _fenced("toml", "tests/plugin/pyproject.toml"),
    **{f"docker-{driver}": partial(explained.page, driver) for driver in explained.drivers()},
    "plugin-module": lambda: _fenced("python", "tests/plugin/reconciler_routed.py"),
}


def main() -> int:
    """Rewrites every page that is out of date and says which."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (fresh := made(text)) != text:
            page.write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
