// Starts `trunkline lsp` and lets VS Code talk to it. Everything else is in the server.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function start() {
  const command = vscode.workspace.getConfiguration("trunkline").get("command") || "trunkline";
  client = new LanguageClient(
    "trunkline",
    "Trunkline",
    { command, args: ["lsp"] },
    {
      documentSelector: [{ language: "trunkline" }],
      // Includes and rates that change outside of the editor change what is found, too.
      synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{cfg,csv,py}") },
    },
  );
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `Trunkline's language server does not start: ${error.message}. Is \`${command} lsp\` ` +
        "installed? pip install 'trunkline[lsp]'; the path is the setting trunkline.command.",
    );
  }
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("trunkline.restart", async () => {
      await deactivate();
      await start();
    }),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (change.affectsConfiguration("trunkline.command")) {
        await deactivate();
        await start();
      }
    }),
  );
  await start();
}

async function deactivate() {
  const running = client;
  client = undefined;
  if (running) await running.stop().catch(() => {});
}

module.exports = { activate, deactivate };
