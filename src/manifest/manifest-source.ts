import type { Document, Node, ParsedNode, Scalar } from "yaml";
import { isMap, isScalar, isSeq, LineCounter, visit } from "yaml";
import { AgbSyncError } from "../errors.ts";
import { expandAliases } from "./expand-aliases.ts";
import type { TextRange } from "./hidden-ranges.ts";
import { hiddenRanges, mentionsSensitive } from "./hidden-ranges.ts";
import type { Interpolation } from "./interpolate.ts";
import { interpolate } from "./interpolate.ts";
import { keyName } from "./key-name.ts";
import type { Position, Variables } from "./manifest.ts";
import type { Problem, ProblemCode } from "./manifest-error.ts";
import { parseYaml } from "./parse-yaml.ts";

/** A key of a mapping or an index of a sequence. */
export type Keys = readonly (string | number)[];

/** Longest manifest that is read, in bytes of UTF-8. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;

/** A problem by its place in the text; `unquoted` is the message for where the text must not be shown. */
type Fault = Pick<Problem, "code" | "message" | "hint"> & TextRange & { readonly unquoted?: string };

/** The text of a manifest with its YAML document: finds places, and collects what is wrong with it. */
export class ManifestSource {
  readonly problems: Problem[] = [];
  readonly #file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #document: Document<ParsedNode> | undefined;
  /** Nodes with a problem that is told already: nothing that follows from it is told as well. */
  readonly #doubtful: Set<unknown>;
  /** What no excerpt and no message may show. */
  readonly #hidden: readonly TextRange[];
  /** False when there is no document worth looking at: its problems are already collected. */
  readonly isReadable: boolean;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text.startsWith("\ufeff") ? text.slice(1) : text;
    if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES) {
      throw new AgbSyncError("MANIFEST_TOO_LARGE", `${file} is larger than ${MAX_MANIFEST_BYTES} bytes`, {
        hint: "move large content into source files",
      });
    }
    const { document, isWhole, faults } = parseYaml(this.#text, this.#lines);
    this.#document = document;
    const expansion = document !== undefined && isWhole ? expandAliases(document, this.#text) : undefined;
    this.isReadable = expansion?.isComplete ?? false;
    this.#doubtful = new Set(expansion?.doubtful);
    if (document !== undefined && expansion?.isComplete === true) {
      this.#hidden = hiddenRanges(document, expansion.originals);
    } else {
      this.#hidden = mentionsSensitive(this.#text) ? [{ start: -1, end: Number.POSITIVE_INFINITY }] : [];
    }
    for (const fault of [...faults, ...(expansion?.faults ?? [])]) this.#add(fault);
  }

  /** Interpolates every scalar value but those of `vars` in place; `onScalar` lets the caller find secrets. */
  interpolate(variables: Variables, onScalar: (keys: Keys, result: Interpolation) => void): void {
    const walk = (node: unknown, keys: Keys): void => {
      if (isMap(node)) {
        for (const { key, value } of node.items) walk(value, [...keys, keyName(key) ?? ""]);
      } else if (isSeq(node)) {
        node.items.forEach((item, index) => walk(item, [...keys, index]));
      } else if (isScalar(node) && typeof node.value === "string" && node.value.includes("${") && keys[0] !== "vars") {
        const result = interpolate(node.value, variables);
        onScalar(keys, result);
        this.#replace(node, node.value, result);
      }
    };
    walk(this.#document?.contents, []);
  }

  /** Puts what `written` became in place of the scalar at `keys`, and reports what was wrong with it. */
  replace(keys: Keys, written: string, result: Interpolation): void {
    const node = this.#nodeAt(keys);
    if (isScalar(node)) this.#replace(node, written, result);
  }

  /** Scalars as they were written: `0644` stays `0644`, although YAML 1.2 reads it as the number 644. */
  keepWritten(isWanted: (key: string) => boolean): void {
    if (this.#document === undefined) return;
    visit(this.#document, {
      Pair: (_, { key, value }) => {
        if (!isScalar(value) || typeof value.value !== "number" || value.source === undefined) return;
        if (isWanted(keyName(key) ?? "")) value.value = value.source;
      },
    });
  }

  /** What is written behind each key of a mapping, in the order of the text; nothing for a list or a mapping. */
  writtenValues(keys: Keys): ReadonlyMap<string, string> {
    const map = this.#nodeAt(keys);
    const found = new Map<string, string>();
    for (const { key, value } of isMap(map) ? map.items : []) {
      const text = isScalar(value) ? (typeof value.value === "string" ? value.value : value.source) : undefined;
      found.set(keyName(key) ?? "", text ?? "");
    }
    return found;
  }

  /** Plain data. */
  toData(): unknown {
    return this.#document?.toJS();
  }

  /** Where the value at `keys` starts, or the nearest written ancestor. One-based. */
  positionOf(keys: Keys): Position {
    const [start] = this.#rangeOf(keys);
    const { line, col } = this.#lines.linePos(start);
    return { line, column: col };
  }

  /** Adds a problem at the value at `keys`, unless that value has one already. */
  report(code: ProblemCode, keys: Keys, message: string, hint?: string): void {
    const node = this.#nodeAt(keys);
    if (this.#doubtful.has(node)) return;
    if (isScalar(node)) this.#doubtful.add(node);
    const [start, end] = this.#rangeOf(keys);
    this.#add({ code, start, end, message, ...(hint === undefined ? {} : { hint }) });
  }

  /** Whether the line on which the value at `keys` starts must not be shown, nor any part of it repeated. */
  isHidden(keys: Keys): boolean {
    return this.#isLineHidden(this.#lineAt(this.#rangeOf(keys)[0]));
  }

  /** Adds a problem at a key itself, not at its value. */
  reportKey(code: ProblemCode, keys: Keys, name: string, message: string, hint?: string): void {
    const parent = this.#nodeAt(keys);
    const key = isMap(parent) ? parent.items.find((item) => keyName(item.key) === name)?.key : undefined;
    const range = isScalar(key) ? key.range : undefined;
    if (range) this.#add({ code, start: range[0], end: range[1], message, ...(hint === undefined ? {} : { hint }) });
    else this.report(code, keys, message, hint);
  }

  #replace(node: Scalar, written: string, { text, faults }: Interpolation): void {
    if (typeof node.value === "string") node.value = text;
    const [start, end] = node.range ?? [0, 0];
    let searched = start;
    for (const fault of faults) {
      const expression = written.slice(fault.start, fault.end);
      const place = this.#text.slice(0, end).indexOf(expression, searched);
      // Folding and escapes can make value and source differ; then the whole value is shown.
      this.#add({ ...fault, start: place < 0 ? start : place, end: place < 0 ? end : place + expression.length });
      if (place >= 0) searched = place + expression.length;
    }
    if (faults.length > 0) this.#doubtful.add(node);
  }

  #nodeAt(keys: Keys): unknown {
    let node: unknown = this.#document?.contents;
    for (const key of keys) {
      if (isMap(node)) node = node.items.find((pair) => keyName(pair.key) === String(key))?.value;
      else node = isSeq(node) ? node.items[Number(key)] : undefined;
    }
    return node;
  }

  #rangeOf(keys: Keys): readonly [number, number] {
    for (let depth = keys.length; depth >= 0; depth -= 1) {
      const node = this.#nodeAt(keys.slice(0, depth));
      const range = isNodeWithRange(node) ? node.range : undefined;
      if (range) return [range[0], range[1]];
    }
    return [0, 1];
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

function isNodeWithRange(node: unknown): node is Node & { range: [number, number, number] } {
  return typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range);
}
