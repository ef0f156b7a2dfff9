"""An editor: a client of the Language Server Protocol that talks to `trunkline lsp` over pipes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0
SCRIPT = """
import sys
from router.cli.main import main
sys.argv = ["trunkline", "lsp", *sys.argv[1:]]
sys.exit(main())
"""


class Refused(Exception):
    """The server answered a request with an error."""


class Editor:
    """One session; everything that the server publishes is kept in `published` by its URI."""

    def __init__(self, folder: Path, *options: str, encodings: list[str] | None = None) -> None:
        self.folder = folder
        self.published: dict[str, list[Any]] = {}
        self._messages: queue.Queue[Any] = queue.Queue()
        self._id = 0
        self._versions: dict[Path, int] = {}
        self._seen: dict[str, int] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()
        item = {"snippetSupport": True}
        capabilities: dict[str, Any] = {
            "textDocument": {"completion": {"completionItem": item}, "publishDiagnostics": {}},
        }
        if encodings:
            capabilities["general"] = {"positionEncodings": encodings}
        self.capabilities = self.ask(
            "initialize",
            processId=None,
            rootUri=folder.as_uri(),
            workspaceFolders=[{"uri": folder.as_uri(), "name": "test"}],
            capabilities=capabilities,
        )["capabilities"]
        self.tell("initialized")

    # ----------------------------------------------------------------------------- messages

    def _read(self) -> None:
        out = self.process.stdout
        assert out is not None
        while True:
            length = 0
            while (line := out.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                self._messages.put(None)
                return
            self._messages.put(json.loads(out.read(length)))

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def _next(self) -> Any:
        message = self._messages.get(timeout=TIMEOUT_S)
        assert message is not None, "the server has gone"
        if message.get("method") == "textDocument/publishDiagnostics":
            uri = message["params"]["uri"]
            self.published[uri] = message["params"]["diagnostics"]
            self._seen[uri] = message["params"].get("version") or 0
        assert message.get("method") != "window/showMessage", message
        return message

    def tell(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request and wait for its answer; raises Refused."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._id:
                if "error" in message:
                    raise Refused(message["error"]["message"])
                return message["result"]

    def close(self) -> int:
        """End the session as editors do; the server's exit code."""
        try:
            self.ask("shutdown")
            self.tell("exit")
            return self.process.wait(TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the server, whatever it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    # ---------------------------------------------------------------------------- documents

    def open(self, name: str, text: str | None = None) -> Path:
        """Open a file of the folder, with another text than it has if one is given."""
        path = self.folder / name
        # Counted on when it is opened again, so that no version means two texts.
        self._versions[path] = self._versions.get(path, 0) + 1
        document = {
            "uri": path.as_uri(),
            "languageId": "trunkline",
            "version": self._versions[path],
            "text": path.read_text() if text is None else text,
        }
        self.tell("textDocument/didOpen", textDocument=document)
        return path

    def change(self, path: Path, text: str) -> None:
        """Give an open document another text."""
        self._versions[path] += 1
        document = {"uri": path.as_uri(), "version": self._versions[path]}
        self.tell("textDocument/didChange", textDocument=document, contentChanges=[{"text": text}])

    def close_file(self, path: Path) -> None:
        """Close an open document."""
        self.tell("textDocument/didClose", textDocument={"uri": path.as_uri()})

    def findings(self, path: Path) -> list[Any]:
        """What the server publishes about the text that an open document has now."""
        uri = path.as_uri()
        while self._seen.get(uri, 0) < self._versions[path]:
            self._next()
        return self.published[uri]

    def next_findings(self, path: Path) -> list[Any]:
        """What the server publishes next about a file."""
        self.published.pop(path.as_uri(), None)
        while path.as_uri() not in self.published:
            self._next()
        return self.published[path.as_uri()]

    def at(self, path: Path, line: int, character: int) -> dict[str, Any]:
        """The parameters of a request about a place; both counts begin with 0."""
        return {
            "textDocument": {"uri": path.as_uri()},
            "position": {"line": line, "character": character},
        }

    def labels(self, path: Path, line: int, character: int) -> list[str]:
        """The labels of what could be written at a place."""
        answer = self.ask("textDocument/completion", **self.at(path, line, character))
        return [item["label"] for item in answer["items"]]


def find(text: str, marked: str, skip: int = 0) -> tuple[int, int]:
    """Line and character of the `|` in a piece of the text, the `skip`th time that it is there."""
    piece = marked.replace("|", "")
    at = -1
    for _ in range(skip + 1):
        at = text.index(piece, at + 1)
    at += marked.index("|")
    line = text.count("\n", 0, at)
    return line, at - text.rfind("\n", 0, at) - 1


def applied(text: str, edits: list[Any]) -> str:
    """A text of ASCII with edits of the protocol applied."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)

    def offset(place: Any) -> int:
        return min(int(starts[place["line"]] + place["character"]), len(text))

    for edit in sorted(edits, key=lambda one: offset(one["range"]["start"]), reverse=True):
        start, end = offset(edit["range"]["start"]), offset(edit["range"]["end"])
        text = text[:start] + edit["newText"] + text[end:]
    return text
