import { printable } from "../tree/printable.ts";

/** Select Graphic Rendition (ECMA-48 §8.3.117): colours and the like, which move nothing and end nothing. */
const style = /(\u001b\[[\d;:]*m)/;

/** One line of a command's output, made safe for a terminal. With `keepsStyle`, colours stay, and end with the line. */
export function printableOutput(line: string, keepsStyle: boolean): string {
  const text = line.replace(/\r+$/, "");
  const parts = text.split(style);
  const hasStyle = keepsStyle && parts.length > 1;
  const safe = parts.map((part, index) => (index % 2 === 0 ? printableTabs(part) : keepsStyle ? part : ""));
  return hasStyle ? `${safe.join("")}\u001b[0m` : safe.join("");
}

function printableTabs(text: string): string {
  return text.split("\t").map(printable).join("\t");
}
