"""Settings and blocks: which exist, where they may stand, and the values they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl import ast
from dsl.check import kamailio
from dsl.check.report import Report, article, did_you_mean, link
from dsl.check.values import is_name, read_value
from dsl.literals import LiteralError
from dsl.program import Block, Position
from dsl.sources import Files
from dsl.surface import ROUTE_KINDS, BlockSchema, Setting, Surface


@dataclass(slots=True)
class Given:
    """The settings of one block, or the global ones: values and nodes by name."""

    values: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, ast.Setting] = field(default_factory=dict)


@dataclass(slots=True)
class CheckedBlock:
    """A block with its values; `node` is where it was written."""

    node: ast.BlockNode
    given: Given
    children: list[CheckedBlock]

    def block(self) -> Block:
        """The block as the loaded program has it."""
        return Block(
            self.node.kind,
            self.node.name,
            self.given.values,
            [child.block() for child in self.children],
            position_of(self.node.kind_span),
            places_of(self.given),
        )


def position_of(span: ast.Span) -> Position:
    """Where a span begins."""
    return Position(span.file, span.line, span.column)


def places_of(given: Given) -> dict[str, Position]:
    """Where each setting stands."""
    return {name: position_of(node.name_span) for name, node in given.nodes.items()}


_QUOTED_WHEN_SET = frozenset({"string", "rules", "times", "file_by_time"})
"""kinds of value that always stand in quotes; a variable of the environment has none"""


class SettingsChecker:
    """Checks and reads settings and blocks.

    `loading` makes an environment variable that is not set an error; else it is a warning.
    `references` are filled with what refers to a block: (kind, name, where).
    """

    def __init__(self, surface: Surface, report: Report, files: Files, loading: bool) -> None:
        self._surface = surface
        self._report = report
        self._files = files
        self._loading = loading
        self._everywhere: dict[tuple[str, str], ast.BlockNode] = {}
        self.references: list[tuple[str, str, ast.Span]] = []

    def read_globals(self, nodes: list[ast.Setting]) -> Given:
        """The global settings."""
        return self._read(nodes, self._surface.settings, "")

    def read_block(self, node: ast.BlockNode, parent: BlockSchema | None) -> CheckedBlock | None:
        """A block with all that is in it; None if it may not be there."""
        schema = self._surface.blocks.get(node.kind)
        if schema is None:
            self._unknown_block(node)
            return None
        if not self._placed(node, schema, parent):
            return None
        if not schema.ready:
            what = f"a {node.kind} is part of the language, but not supported in this version"
            self._report.add("not-supported", node.kind_span, what)
        self._check_name(node)
        settings = [member for member in node.members if isinstance(member, ast.Setting)]
        given = self._read(settings, schema.settings, node.kind)
        self._check_required(node, schema, given)
        children: list[CheckedBlock] = []
        names: dict[tuple[str, str], ast.BlockNode] = {}
        for member in node.members:
            if not isinstance(member, ast.BlockNode):
                continue
            child = self.read_block(member, schema)
            if child is None:
                continue
            if self._is_new(member, names):
                children.append(child)
        return CheckedBlock(node, given, children)

    def _is_new(self, node: ast.BlockNode, names: dict[tuple[str, str], ast.BlockNode]) -> bool:
        key = (node.kind, node.name)
        if self._surface.blocks[node.kind].unique:
            names = self._everywhere
        first = names.setdefault(key, node)
        if first is node or not node.name:
            return True
        self._report.add(
            "duplicate-block",
            node.name_span,
            f"there is {article(node.kind)} `{node.name}` already",
            chain=(link(first.name_span, "the first one"),),
        )
        return False

    def top_blocks(self, nodes: list[ast.BlockNode]) -> list[CheckedBlock]:
        """The blocks of the top level, each name once.

        A second one that has only blocks inside adds them to the first.
        """
        names: dict[tuple[str, str], ast.BlockNode] = {}
        checked: dict[tuple[str, str], CheckedBlock] = {}
        for node in nodes:
            block = self.read_block(node, None)
            if block is None:
                continue
            first = checked.get((node.kind, node.name))
            if first is not None and block.children and not block.given.nodes:
                self._add_children(first, block)
            elif self._is_new(node, names):
                checked[node.kind, node.name] = block
        return list(checked.values())

    def _add_children(self, first: CheckedBlock, block: CheckedBlock) -> None:
        names = {(child.node.kind, child.node.name): child.node for child in first.children}
        first.children += [child for child in block.children if self._is_new(child.node, names)]

    # ------------------------------------------------------------------------------- blocks

    def _unknown_block(self, node: ast.BlockNode) -> None:
        if node.kind in ROUTE_KINDS:
            name = f"[{node.name}]" if node.name else ""
            self._report.add(
                "unknown-block",
                node.kind_span,
                f"`{node.kind} {node.name}` is no block" if name else "a route has no place here",
                f"did you mean `{node.kind}{name}`?" if name else "",
            )
            return
        # What stands in it was skipped for this reason: nothing else tells of it.
        self._report.add(
            "unknown-block",
            node.kind_span,
            f"there is no block `{node.kind}`",
            did_you_mean(node.kind, [*self._surface.blocks, *ROUTE_KINDS]),
        )

    def _placed(self, node: ast.BlockNode, schema: BlockSchema, parent: BlockSchema | None) -> bool:
        if parent is None:
            if schema.top:
                return True
            outer = [
                kind for kind, one in self._surface.blocks.items() if node.kind in one.children
            ]
            where = f"a {node.kind} stands inside {article(' or '.join(outer))}"
        else:
            if node.kind in parent.children:
                return True
            where = f"a {node.kind} has no place in {article(parent.kind)}"
        # Behind a brace that was left open everything is in the wrong place.
        if not any(found.code == "unclosed-brace" for found in self._report.findings):
            self._report.add("misplaced-block", node.kind_span, where)
        return False

    def _check_name(self, node: ast.BlockNode) -> None:
        allowed = node.name.replace("_", "").replace("-", "").replace(".", "").replace("+", "")
        if not node.name:
            self._report.add(
                "missing-name",
                node.kind_span,
                f"this {node.kind} has no name",
                f"write `{node.kind} NAME {{ … }}`",
            )
        elif not (allowed.isascii() and allowed.isalnum()) or len(node.name) > 64:
            self._report.add(
                "bad-name",
                node.name_span,
                f"`{node.name}` is no name",
                "a name is up to 64 letters, digits, `_`, `-`, `.` and `+`",
            )

    def _check_required(self, node: ast.BlockNode, schema: BlockSchema, given: Given) -> None:
        broken = any(isinstance(member, ast.Bad) for member in node.members)
        for setting in schema.settings.values():
            if setting.unless in given.nodes:
                continue
            if setting.required and setting.name not in given.nodes and not broken:
                close = any(
                    isinstance(member, ast.Setting)
                    and member.name not in schema.settings
                    and did_you_mean(member.name, [setting.name])
                    for member in node.members
                )
                if not close:
                    self._report.add(
                        "missing-setting",
                        node.name_span,
                        f"{node.kind} `{node.name}` has no `{setting.name}`",
                        setting.doc,
                    )

    # ----------------------------------------------------------------------------- settings

    def _read(self, nodes: list[ast.Setting], table: Mapping[str, Setting], kind: str) -> Given:
        given = Given()
        aliases = {alias: one for one in table.values() for alias in one.aliases}
        for node in nodes:
            setting = table.get(node.name) or aliases.get(node.name)
            if setting is None:
                self._unknown_setting(node, table, aliases, kind)
                continue
            alias = node.name != setting.name
            if alias:
                self._report.hint(
                    "vos3000-name",
                    node.name_span,
                    f"`{node.name}` is VOS3000's name",
                    f"the name here is `{setting.name}`",
                )
            if setting.name in given.nodes:
                first = given.nodes[setting.name]
                self._report.add(
                    "duplicate-setting",
                    node.name_span,
                    f"`{setting.name}` is set already",
                    "write several values in one setting, with commas" if setting.type.many else "",
                    chain=(link(first.name_span, "the first time"),),
                )
                continue
            given.nodes[setting.name] = node
            if not setting.ready:
                self._report.add(
                    "not-supported",
                    node.name_span,
                    f"`{setting.name}` is part of the language, but not supported in this version",
                )
            self._read_values(node, setting, kind, alias, given)
        return given

    def _read_values(
        self, node: ast.Setting, setting: Setting, kind: str, alias: bool, given: Given
    ) -> None:
        if len(node.values) > 1 and not setting.type.many:
            self._report.add("bad-value", node.values[1].span, f"`{setting.name}` takes one value")
            return
        values = []
        for value in node.values:
            text, quoted = value.text, value.form == "string"
            if value.form == "env":
                found = self._files.variable(value.text)
                if found is None:
                    self._unset(value)
                    continue
                text, quoted = found, setting.type.name in _QUOTED_WHEN_SET
            try:
                values.append(read_value(text, quoted, setting.type, alias))
            except LiteralError as error:
                self._report.add(error.code, value.span, error.message, error.help)
                continue
            if setting.type.name == "reference" or (setting.type.refers and is_name(text)):
                self.references.append((setting.type.refers, text, value.span))
            if setting.name == "lines" and values[-1] == 0:
                what = f"{article(kind)} without lines" if kind else "a server without lines"
                self._report.add(
                    "no-lines",
                    value.span,
                    f"`lines = 0` makes this {what}: it takes no call",
                    "leave `lines` out for as many as there are",
                )
        if values:
            given.values[setting.name] = values if setting.type.many else values[0]

    def _unset(self, value: ast.Value) -> None:
        message = f"the environment variable `{value.text}` is not set"
        if self._loading:
            self._report.add("unset-variable", value.span, message)
        else:
            self._report.warn("unset-variable", value.span, message, "`trunkline run` needs it")

    def _unknown_setting(
        self,
        node: ast.Setting,
        table: Mapping[str, Setting],
        aliases: Mapping[str, Setting],
        kind: str,
    ) -> None:
        where = f"{article(kind)} has no setting" if kind else "there is no global setting"
        close = did_you_mean(node.name, [*table, *aliases])
        elsewhere = [
            schema.kind
            for schema in self._surface.blocks.values()
            if node.name in schema.settings and schema.kind != kind
        ]
        help = close
        if node.name in self._surface.settings and kind:
            help = f"`{node.name}` is a global setting"
        elif elsewhere:
            help = f"`{node.name}` is a setting of {article(' or '.join(elsewhere))}"
        elif not kind:
            help = kamailio.SETTINGS.get(node.name, help)
        self._report.unknown(
            "unknown-setting", node.name_span, f"{where} `{node.name}`", node.name, (), help
        )
