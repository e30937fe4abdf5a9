import { isMap, isScalar, isSeq, LineCounter } from "yaml";
import { AgbSyncError } from "../errors.ts";
import { expandAliases } from "./expand-aliases.ts";
import type { TextRange } from "./hidden-ranges.ts";
import { hiddenRanges, mentionsSensitive } from "./hidden-ranges.ts";
import type { Interpolation } from "./interpolate.ts";
import { HALF_CHARACTER, interpolate } from "./interpolate.ts";
import { keyName } from "./key-name.ts";
import type { Position, Variables } from "./manifest.ts";
import type { Problem, ProblemCode } from "./manifest-error.ts";
import type { Keys } from "./manifest-tree.ts";
import { ManifestTree } from "./manifest-tree.ts";
import { parseYaml } from "./parse-yaml.ts";

/** Longest manifest that is read, in bytes of UTF-8. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;

/** A problem by its place in the text; `unquoted` is the message for where the text must not be shown. */
type Fault = Pick<Problem, "code" | "message" | "hint"> & TextRange & { readonly unquoted?: string };

/** The text of a manifest with its YAML: finds places, and collects what is wrong with it. */
export class ManifestSource {
  readonly problems: Problem[] = [];
  readonly tree: ManifestTree;
  /** False when there is nothing worth looking at: its problems are already collected. */
  readonly isReadable: boolean;
  readonly #file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  /** What no excerpt and no message may show. */
  readonly #hidden: readonly TextRange[];

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text.startsWith("\ufeff") ? text.slice(1) : text;
    if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES) {
      throw new AgbSyncError("MANIFEST_TOO_LARGE", `${file} is larger than ${MAX_MANIFEST_BYTES} bytes`, {
        hint: "move large content into source files",
      });
    }
    const { document, isWhole, faults } = parseYaml(this.#text, this.#lines);
    const expansion = document !== undefined && isWhole ? expandAliases(document, this.#text) : undefined;
    this.tree = new ManifestTree(document, expansion?.doubtful);
    this.isReadable = expansion?.isComplete ?? false;
    if (document !== undefined && expansion?.isComplete === true) {
      this.#hidden = hiddenRanges(document, expansion);
    } else {
      this.#hidden = mentionsSensitive(this.#text) ? [{ start: -1, end: Number.POSITIVE_INFINITY }] : [];
    }
    for (const fault of [...faults, ...(expansion?.faults ?? [])]) this.#add(fault);
  }

  /**
   * Reports keys and values with half a character in them (a lone surrogate, such as `"\ud83d"`): no file, name or
   * command can hold that, and what would be written instead is something else.
   */
  reportHalfCharacters(): void {
    const hint = "write the whole character, such as 😀 or \\U0001F600";
    const walk = (node: unknown, keys: Keys): void => {
      if (isSeq(node)) node.items.forEach((item, index) => walk(item, [...keys, index]));
      if (isScalar(node) && typeof node.value === "string" && !node.value.isWellFormed()) {
        this.report("NOT_TEXT", keys, `${HALF_CHARACTER} in this text`, hint);
        node.value = node.value.toWellFormed();
      }
      if (!isMap(node)) return;
      for (const { key, value } of node.items) {
        const name = keyName(key) ?? "";
        if (!name.isWellFormed()) this.reportKey("NOT_TEXT", [...keys, name], `${HALF_CHARACTER} in this key`, hint);
        walk(value, [...keys, name]);
      }
    };
    walk(this.tree.nodeAt([]), []);
  }

  /** Interpolates every scalar value but those of `vars` in place; `onScalar` lets the caller find secrets. */
  interpolate(variables: Variables, onScalar: (keys: Keys, result: Interpolation, written: string) => void): void {
    const walk = (node: unknown, keys: Keys): void => {
      if (isMap(node)) {
        for (const { key, value } of node.items) walk(value, [...keys, keyName(key) ?? ""]);
      } else if (isSeq(node)) {
        node.items.forEach((item, index) => walk(item, [...keys, index]));
      } else if (isScalar(node) && typeof node.value === "string" && node.value.includes("${") && keys[0] !== "vars") {
        const result = interpolate(node.value, variables);
        onScalar(keys, result, node.value);
        this.replace(keys, node.value, result);
      }
    };
    walk(this.tree.nodeAt([]), []);
  }

  /** Puts what `written` became in place of the text at `keys`, and reports what was wrong with it. */
  replace(keys: Keys, written: string, { text, faults, isWaiting }: Interpolation): void {
    const node = this.tree.nodeAt(keys);
    if (isScalar(node) && typeof node.value === "string") node.value = text;
    if (isWaiting) this.tree.await(keys);
    const [start, end] = this.tree.rangeAt(keys);
    let searched = start;
    for (const fault of faults) {
      const expression = written.slice(fault.start, fault.end);
      const place = this.#text.slice(0, end).indexOf(expression, searched);
      // Folding and escapes can make value and source differ; then the whole value is shown.
      this.#add({ ...fault, start: place < 0 ? start : place, end: place < 0 ? end : place + expression.length });
      if (place >= 0) searched = place + expression.length;
    }
    if (faults.length > 0 || isWaiting) this.tree.doubt(keys);
  }

  /** Where the value at `keys` starts, or the nearest thing around it that is written. One-based. */
  positionOf(keys: Keys): Position {
    const [start] = this.tree.rangeAt(keys);
    const { line, col } = this.#lines.linePos(start);
    return { line, column: col };
  }

  /** Adds a problem at the value at `keys`. A value that is not sound is not judged; a single one with a problem no more is. */
  report(code: ProblemCode, keys: Keys, message: string, hint?: string): void {
    if (!this.tree.isSound(keys)) return;
    if (isScalar(this.tree.nodeAt(keys))) this.tree.doubt(keys);
    const [start, end] = this.tree.rangeAt(keys);
    this.#add({ code, start, end, message, ...(hint === undefined ? {} : { hint }) });
  }

  /** Adds a problem at the last key itself, not at its value. */
  reportKey(code: ProblemCode, keys: Keys, message: string, hint: string): void {
    const key = this.tree.pairAt(keys)?.key;
    const [start, end] = (isScalar(key) ? key.range : undefined) ?? this.tree.rangeAt(keys.slice(0, -1));
    this.#add({ code, start, end, message, hint });
  }

  /** Whether the line on which the value at `keys` starts must not be shown, nor any part of it repeated. */
  isHidden(keys: Keys): boolean {
    return this.#isLineHidden(this.#lineAt(this.tree.rangeAt(keys)[0]));
  }

  #add({ code, start, end, message, unquoted, hint }: Fault): void {
    const { line, col } = this.#lines.linePos(Math.min(start, this.#text.length));
    const shown = this.#lineAt(start);
    const isHidden = this.#isLineHidden(shown);
    this.problems.push({
      code,
      message: isHidden ? (unquoted ?? message) : message,
      ...(hint === undefined ? {} : { hint }),
      file: this.#file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      length: Math.max(1, end - start),
      excerpt: isHidden ? "" : this.#text.slice(shown.start, shown.end).replace(/\r$/, ""),
    });
  }

  #lineAt(position: number): TextRange {
    const end = this.#text.indexOf("\n", position);
    return { start: this.#text.lastIndexOf("\n", position - 1) + 1, end: end < 0 ? this.#text.length : end };
  }

  /** A `#` in a content without quotes makes a comment of the rest of an entry, `sensitive` and all. */
  #isLineHidden({ start, end }: TextRange): boolean {
    const [, comment = ""] = /(#.*)/.exec(this.#text.slice(start, end)) ?? [];
    return this.#hidden.some((hidden) => hidden.start < end && start < hidden.end) || mentionsSensitive(comment);
  }
}
