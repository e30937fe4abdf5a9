/** Control, bidi and other invisible characters that could make a terminal show something else than what is there. */
const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/** JSON on one line, in which everything that fools a terminal, an editor or a difference is written as an escape. */
export function printableJson(data: unknown): string {
  return JSON.stringify(data).replace(unsafe, (character) =>
    Array.from(
      { length: character.length },
      (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}

/** `text` (a name, a content line, a server's message) with everything that fools a terminal written as an escape. */
export function printable(text: string): string {
  return text.toWellFormed().replace(unsafe, (character) => {
    switch (character) {
      case "\n":
        return "\\n";
      case "\r":
        return "\\r";
      case "\t":
        return "\\t";
      default: {
        const code = character.codePointAt(0) ?? 0;
        return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
      }
    }
  });
}
