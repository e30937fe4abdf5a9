const row = "secrets";
const redact = { row, promise: "S35", file: "src/cli/redact.ts", tests: "test/cli/redact.test.ts" };

export const secrets = [
  {
    ...redact,
    what: "lines of a secret of several are shown",
    text: 'const lines = values.flatMap((value) => value.split("\\n")).map((line) => line.trim());',
    becomes: "const lines: string[] = [];",
  },
  {
    ...redact,
    what: "a secret is shown as JSON writes it",
    text: "[part, JSON.stringify(part).slice(1, -1), printable(part)]",
    becomes: "[part, printable(part)]",
  },
  {
    ...redact,
    what: "a secret is shown as a terminal sees it",
    text: "[part, JSON.stringify(part).slice(1, -1), printable(part)]",
    becomes: "[part, JSON.stringify(part).slice(1, -1)]",
  },
  {
    ...redact,
    what: "a part of a longer secret is left over",
    text: "toSorted((one, other) => other.length - one.length)",
    becomes: "toSorted((one, other) => one.length - other.length)",
  },
  {
    ...redact,
    what: "secrets that were known before are shown",
    text: "[...new Set([...this.#long, ...spellings])]",
    becomes: "[...new Set(spellings)]",
  },
  {
    ...redact,
    what: "short secrets are shown",
    text: "return this.#shortWords === undefined ? clean : clean.replaceAll(this.#shortWords, MARK);",
    becomes: "return clean;",
  },
  {
    ...redact,
    what: "data in lists is not looked at",
    text: "if (Array.isArray(data)) return data.map((item: unknown) => this.#cleanAt(key, item));",
    becomes: "if (Array.isArray(data)) return data;",
  },
  {
    row,
    promise: "S29",
    file: "src/transport/agb/files-by-shell.ts",
    what: "steps: a sensitive file goes in a command",
    text: "if (content.sensitive) await this.#writeEncoded(path, content, mode, signal);\n    else await",
    becomes: "await",
    tests: "test/cli/shown-nowhere.test.ts",
    only: "steps with a shell",
  },
  {
    row,
    promise: "S29",
    file: "src/engine/shell/shell-commit.ts",
    what: "batch: a sensitive file goes in the command",
    text: "return await deliver(transport, archive, { isSensitive, mayUpload, makeStage, stage }, signal);",
    becomes:
      "return await deliver(transport, archive, { isSensitive: isSensitive && !mayUpload, mayUpload, makeStage, stage }, signal);",
    tests: "test/cli/shown-nowhere.test.ts",
    only: "batch",
  },
];
