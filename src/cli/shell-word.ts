import { printable } from "../tree/printable.ts";

/**
 * `text` as one word of a command line that is shown to be copied: as it is where that is safe, else in single quotes,
 * and as `$'…'` (bash, zsh, POSIX 2024) where it holds what would fool a terminal.
 */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = Array.from(text, (character) => {
    if (character === "\\" || character === "'") return `\\${character}`;
    if (printable(character) === character) return character;
    return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  });
  return `$'${escaped.join("")}'`;
}

/** An option with its value: `--keep a.txt`, and `--keep=-a` where the value could be taken for an option. */
export function shellOption(name: string, value: string): string {
  return value.startsWith("-") ? `${name}=${shellWord(value)}` : `${name} ${shellWord(value)}`;
}
