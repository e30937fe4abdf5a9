// Prints the rooms of src/, their lines and the rooms that each imports (`npm run rooms`). `--write` brings the list in
// src/README.md up to date; `--check` fails when that is old, when rooms import one another in a circle, or when a room
// has no fence in .oxlintrc.json.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src/", import.meta.url));
const readme = fileURLToPath(new URL("../src/README.md", import.meta.url));

/** A folder is a room; what lies in src/ itself is one by its own name. */
const roomOf = (file) => (file.includes("/") ? dirname(file) : file);

const rooms = new Map();
for (const file of readdirSync(source, { recursive: true }).toSorted()) {
  if (!/(?<!\.d)\.ts$|\.sh$/.test(file)) continue;
  const text = readFileSync(`${source}${file}`, "utf8");
  const room = rooms.get(roomOf(file)) ?? { lines: 0, imports: new Set() };
  rooms.set(roomOf(file), room);
  room.lines += text.split("\n").length - 1;
  for (const [, specifier] of text.matchAll(/(?:\bfrom|\bimport\(|\bimport)\s*"(\.[^"]+)"/g)) {
    const target = roomOf(posix.join(posix.dirname(file), specifier));
    if (target !== roomOf(file) && !target.startsWith("..")) room.imports.add(target);
  }
}

/** Rooms in an order in which each imports earlier ones only; those left over import one another. */
function inOrder() {
  const placed = [];
  const left = new Set([...rooms.keys()].toSorted());
  for (let found = true; found; ) {
    found = false;
    for (const room of left) {
      if ([...rooms.get(room).imports].some((other) => left.has(other))) continue;
      placed.push(room);
      left.delete(room);
      found = true;
    }
  }
  return { placed, circle: [...left] };
}

const { placed, circle } = inOrder();
const begin = "<!-- made by `npm run rooms -- --write` -->\n";
const end = "<!-- end -->";
const list = [...placed, ...circle]
  .map(
    (room) =>
      `- \`${room}\` ← ${
        [...rooms.get(room).imports]
          .toSorted()
          .map((name) => `\`${name}\``)
          .join(", ") || "nothing"
      }\n`,
  )
  .join("");

const text = readFileSync(readme, "utf8");
const [before, rest = ""] = text.split(begin);
const current = `${before}${begin}\n${list}\n${rest.slice(rest.indexOf(end))}`;
if (process.argv.includes("--write")) writeFileSync(readme, current);
else if (process.argv.includes("--check")) {
  const fences = readFileSync(fileURLToPath(new URL("../.oxlintrc.json", import.meta.url)), "utf8");
  const open = [...rooms].flatMap(([room, { imports }]) => {
    const files = `src/${room}${room.endsWith(".ts") ? "" : "/*.ts"}`;
    return imports.size > 0 && !fences.includes(`"${files}"`) ? [files] : [];
  });
  if (open.length > 0) {
    console.error(`.oxlintrc.json: no room may be without a fence: ${open.join(", ")}`);
    process.exitCode = 1;
  }
  if (current !== text) {
    console.error("src/README.md: the list of rooms is old: npm run rooms -- --write");
    process.exitCode = 1;
  }
} else {
  for (const room of [...placed, ...circle]) console.log(`${String(rooms.get(room).lines).padStart(6)}  ${room}`);
  console.log(
    `${String([...rooms.values()].reduce((sum, { lines }) => sum + lines, 0)).padStart(6)}  in all\n\n${list}`,
  );
}
if (circle.length > 0) {
  console.error(`these rooms import one another, or a room that does: ${circle.join(", ")}`);
  process.exitCode = 1;
}
