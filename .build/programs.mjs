// Makes a module of every program that runs in a session (src/**/*.sh), so that it is imported and bundled like code.
// Remarks, indentation and empty lines are all that is dropped: a message has little room (protocol §6.2).
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src/", import.meta.url));

/** The programs, as paths from the top of the project. */
export function programFiles() {
  return readdirSync(source, { recursive: true })
    .filter((name) => name.endsWith(".sh"))
    .toSorted()
    .map((name) => `src/${name}`);
}

/** The text as it is sent. */
export function compacted(text) {
  const lines = text.split("\n").map((line) => line.trimStart());
  return `${lines.filter((line) => line !== "" && !line.startsWith("#")).join("\n")}\n`;
}

export function generatePrograms() {
  for (const file of programFiles()) {
    const url = new URL(`../${file}`, import.meta.url);
    const text = compacted(readFileSync(url, "utf8"));
    writeFileSync(new URL(`${url}.generated.js`), `export default ${JSON.stringify(text)};\n`);
  }
}
