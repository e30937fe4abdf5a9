import { printable } from "../tree/printable.ts";

/** Shorter values are found in every text by chance: they are replaced only where they stand alone. */
const SHORT = 4;
const MARK = "(redacted)";

/** Keys whose values agb-sync makes itself: a secret that happens to be one of its words must not change them. */
const vocabulary = new Set(
  "type ts op status kind phase strategy stream level code origin outcome standing digest found desired actual sessionId name".split(
    " ",
  ),
);
/** Keys of sentences and outputs, in which a short secret is replaced as a word. */
const prose = new Set(["message", "hint", "reason", "warnings", "text", "command"]);

/** Takes secrets out of everything that leaves the program. */
export class Redactor {
  /** Longest first, so that no part of a longer one is left over. */
  #long: readonly string[] = [];
  #short: ReadonlySet<string> = new Set();
  #shortWords: RegExp | undefined;

  /**
   * From now on these values are replaced: anywhere in a text, the lines of one that spans lines too; values shorter than
   * four characters only as whole words, and only in what others wrote (`cleanForeign`), as "1" would be in "1 file".
   */
  add(secrets: readonly string[]): void {
    const values = secrets.map((secret) => secret.trim()).filter((value) => value !== "");
    const lines = values.flatMap((value) => value.split("\n")).map((line) => line.trim());
    const long = [...values, ...lines].filter((part) => part.length >= SHORT);
    const spellings = long.flatMap((part) => [part, JSON.stringify(part).slice(1, -1), printable(part)]);
    this.#long = [...new Set([...this.#long, ...spellings])].toSorted((one, other) => other.length - one.length);
    this.#short = new Set([...this.#short, ...values.filter((value) => value.length < SHORT)]);
    if (this.#short.size === 0) return;
    const either = [...this.#short].map((value) => value.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
    this.#shortWords = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${either})(?![\\p{L}\\p{N}_])`, "gu");
  }

  /** For sentences of agb-sync. */
  clean(text: string): string {
    return this.#long.reduce((clean, secret) => clean.replaceAll(secret, MARK), text);
  }

  /** For what others wrote: messages of the system and the session, output of commands, contents of files. */
  cleanForeign(text: string): string {
    const clean = this.clean(text);
    return this.#shortWords === undefined ? clean : clean.replaceAll(this.#shortWords, MARK);
  }

  /** Plain data with its secrets replaced inside its texts: keys, numbers and the words of agb-sync stay. */
  cleanData(data: unknown): unknown {
    return this.#long.length + this.#short.size === 0 ? data : this.#cleanAt("", data);
  }

  #cleanAt(key: string, data: unknown): unknown {
    if (typeof data === "string") return vocabulary.has(key) ? data : this.#cleanValue(key, data);
    if (Array.isArray(data)) return data.map((item: unknown) => this.#cleanAt(key, item));
    if (typeof data !== "object" || data === null) return data;
    return Object.fromEntries(Object.entries(data).map(([inner, value]) => [inner, this.#cleanAt(inner, value)]));
  }

  #cleanValue(key: string, value: string): string {
    if (prose.has(key)) return this.cleanForeign(value);
    return this.#short.has(value.trim()) ? MARK : this.clean(value);
  }
}
