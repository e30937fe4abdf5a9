// Makes a module of every program that runs in a session (src/**/*.sh, *.py), so that it is imported and bundled like code.
// Remarks, empty lines and, in a shell program, indentation are all that is dropped: a message has little room
// (protocol §6.2).
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src/", import.meta.url));

/** The programs in a language (`.sh`, `.py`), as paths from the top of the project. */
export function programFiles(ending) {
  return readdirSync(source, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .toSorted()
    .map((name) => `src/${name}`);
}

/** The text of a program as it is sent. */
export function compacted(text, ending) {
  const lines = text.split("\n").map((line) => (ending === ".sh" ? line.trimStart() : line));
  return `${lines.filter((line) => line !== "" && !line.trimStart().startsWith("#")).join("\n")}\n`;
}

export function generatePrograms() {
  for (const ending of [".sh", ".py"]) {
    for (const file of programFiles(ending)) {
      const url = new URL(`../${file}`, import.meta.url);
      const text = compacted(readFileSync(url, "utf8"), ending);
      writeFileSync(new URL(`${url}.generated.js`), `export default ${JSON.stringify(text)};\n`);
    }
  }
}
