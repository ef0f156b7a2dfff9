"""Settings of media that cannot work, or do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from dsl import ast
from dsl.check.report import Report
from dsl.check.settings import CheckedBlock, Given


def check_media(settings: Given, blocks: list[CheckedBlock], report: Report) -> None:
    """Report media that are to be relayed where there is no relay; warn of codecs for nothing."""
    relays = "rtpengine" in settings.nodes
    converted = False
    for block in _all(blocks):
        given = block.given
        media, codecs = given.values.get("media"), given.nodes.get("codecs")
        converted = converted or media == "transcode"
        if media in ("relay", "transcode") and not relays:
            report.add(
                "missing-setting",
                given.nodes["media"].name_span,
                f"`media = {media}` without `rtpengine`",
                "name the relay, as in `rtpengine = 127.0.0.1:2223` outside of all blocks",
            )
        if codecs is not None and media is not None and media != "transcode":
            _idle(codecs.name_span, report)
    everywhere = settings.nodes.get("codecs")
    if everywhere is not None and not converted:
        _idle(everywhere.name_span, report)


def _idle(span: ast.Span, report: Report) -> None:
    report.warn(
        "idle-setting", span, "`codecs` without `media = transcode`",
        "codecs are converted only there",
    )


def _all(blocks: list[CheckedBlock]) -> Iterator[CheckedBlock]:
    for block in blocks:
        yield block
        yield from _all(block.children)
