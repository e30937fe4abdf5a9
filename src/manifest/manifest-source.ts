import type { Document, Node, ParsedNode, Scalar, YAMLError } from "yaml";
import { isAlias, isMap, isPair, isScalar, LineCounter, parseAllDocuments, visit } from "yaml";
import { AgbSyncError } from "../errors.ts";
import type { Interpolation } from "./interpolate.ts";
import { interpolate } from "./interpolate.ts";
import type { Position, Variables } from "./manifest.ts";
import type { Problem, ProblemCode } from "./manifest-error.ts";

/** A key of a mapping or an index of a sequence. */
export type Keys = readonly (string | number)[];

/** Longest manifest that is read, in bytes of UTF-8. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;
/** Deepest nesting that is looked at; the schema needs five levels. */
const MAX_DEPTH = 32;

/** The text of a manifest with its YAML document: finds places, and collects what is wrong with it. */
export class ManifestSource {
  readonly problems: Problem[] = [];
  readonly #file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #document: Document<ParsedNode> | undefined;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text.startsWith("\ufeff") ? text.slice(1) : text;
    if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES) {
      throw new AgbSyncError("MANIFEST_TOO_LARGE", `${file} is larger than ${MAX_MANIFEST_BYTES} bytes`, {
        hint: "move large content into source files",
      });
    }
    this.#document = this.#parse();
  }

  /** False when there is no document worth looking at: its problems are already collected. */
  get isReadable(): boolean {
    return this.#document !== undefined && this.problems.length === 0;
  }

  /** Interpolates every scalar value in place; what `onScalar` is told lets the caller find secrets. */
  interpolate(variables: Variables, onScalar: (keys: Keys, result: Interpolation) => void): void {
    const { contents } = this.#document ?? {};
    const walk = (node: unknown, keys: Keys): void => {
      if (isMap(node)) {
        for (const { key, value } of node.items) walk(value, [...keys, isScalar(key) ? String(key.value) : ""]);
      } else if (isScalar(node)) {
        if (typeof node.value === "string" && node.value.includes("${")) this.#replace(node, keys, variables, onScalar);
      } else if (typeof node === "object" && node !== null && "items" in node && Array.isArray(node.items)) {
        node.items.forEach((item, index) => walk(item, [...keys, index]));
      }
    };
    walk(contents, []);
  }

  /** Scalars as they were written: `0644` stays `0644`, although YAML 1.2 reads it as the number 644. */
  keepWritten(isWanted: (key: string) => boolean): void {
    if (this.#document === undefined) return;
    visit(this.#document, {
      Pair: (_, pair) => {
        if (!isPair(pair) || !isScalar(pair.key) || !isScalar(pair.value)) return;
        const { value } = pair;
        if (typeof value.value === "number" && isWanted(String(pair.key.value)) && value.source !== undefined) {
          value.value = value.source;
        }
      },
    });
  }

  /** The written text of every scalar of a mapping, by key; empty when there is no such mapping. */
  writtenScalars(key: string): ReadonlyMap<string, { readonly text: string; readonly keys: Keys }> {
    const map = this.#document?.get(key, true);
    const found = new Map<string, { text: string; keys: Keys }>();
    if (!isMap(map)) return found;
    for (const item of map.items) {
      if (!isScalar(item.key) || !isScalar(item.value)) continue;
      const name = String(item.key.value);
      const { value, source } = item.value;
      found.set(name, { text: typeof value === "string" ? value : (source ?? String(value)), keys: [key, name] });
    }
    return found;
  }

  /** Plain data, aliases resolved. Undefined, with a problem, when that cannot be done within bounds. */
  toData(): unknown {
    try {
      return this.#document?.toJS({ maxAliasCount: 100 });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#add("YAML_SYNTAX", 0, 1, `the aliases cannot be resolved: ${message}`, "write the values out");
      return undefined;
    }
  }

  /** Where the value at `keys` starts, or the nearest written ancestor. One-based. */
  positionOf(keys: Keys): Position {
    const [start] = this.#rangeOf(keys);
    const { line, col } = this.#lines.linePos(start);
    return { line, column: col };
  }

  /** Adds a problem at the value at `keys`. */
  report(code: ProblemCode, keys: Keys, message: string, hint?: string): void {
    const [start, end] = this.#rangeOf(keys);
    this.#add(code, start, end - start, message, hint);
  }

  /** Adds a problem at a key itself, not at its value. */
  reportKey(code: ProblemCode, keys: Keys, name: string, message: string, hint?: string): void {
    const parent = keys.length === 0 ? this.#document?.contents : this.#document?.getIn(keys, true);
    const key = isMap(parent)
      ? parent.items.find((item) => isScalar(item.key) && String(item.key.value) === name)?.key
      : undefined;
    const range = isScalar(key) ? key.range : undefined;
    if (range) this.#add(code, range[0], range[1] - range[0], message, hint);
    else this.report(code, keys, message, hint);
  }

  #parse(): Document<ParsedNode> | undefined {
    const documents = parseAllDocuments(this.#text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: true,
      stringKeys: false,
      logLevel: "error",
    });
    const list = Array.isArray(documents) ? documents : [];
    const [first, second] = list;
    if (first === undefined || first.contents === null) {
      this.#add("YAML_SYNTAX", 0, 1, "the manifest is empty", "start one with: agb-sync init");
      return undefined;
    }
    for (const fault of [...first.errors, ...first.warnings]) this.#addYaml(fault);
    if (second !== undefined) {
      this.#add("YAML_SYNTAX", second.range[0], 1, "the manifest has more than one document", "keep one, without ---");
    }
    if (!isMap(first.contents)) {
      this.report("WRONG_TYPE", [], "the manifest is not a mapping", "start with: version: 1");
      const [start] = first.contents.range;
      if (this.problems.length === 0)
        this.#add("WRONG_TYPE", start, 1, "the manifest is not a mapping", "start with: version: 1");
      return undefined;
    }
    if (depthOf(first.contents, 0) > MAX_DEPTH) {
      this.#add("YAML_SYNTAX", 0, 1, `the manifest is nested deeper than ${MAX_DEPTH} levels`, "flatten it");
      return undefined;
    }
    return first;
  }

  #replace(
    node: Scalar,
    keys: Keys,
    variables: Variables,
    onScalar: (keys: Keys, result: Interpolation) => void,
  ): void {
    const written = String(node.value);
    const result = interpolate(written, variables);
    onScalar(keys, result);
    const [start, end] = node.range ?? [0, 0];
    for (const fault of result.faults) {
      const expression = written.slice(fault.start, fault.end);
      const inSource = this.#text.slice(start, end).indexOf(expression);
      // Folding and escapes can make value and source differ; then the whole value is shown.
      const from = inSource < 0 ? start : start + inSource;
      this.#add(fault.code, from, inSource < 0 ? end - start : expression.length, fault.message, fault.hint);
    }
    node.value = result.text;
  }

  #rangeOf(keys: Keys): readonly [number, number] {
    for (let depth = keys.length; depth >= 0; depth -= 1) {
      const node = depth === 0 ? this.#document?.contents : this.#document?.getIn(keys.slice(0, depth), true);
      const range = isNodeWithRange(node) ? node.range : undefined;
      if (range) return [range[0], range[1]];
    }
    return [0, 1];
  }

  #addYaml(fault: YAMLError): void {
    const [start, end] = fault.pos;
    const tabs = fault.code === "TAB_AS_INDENT" ? "indent with spaces" : undefined;
    const twice = fault.code === "DUPLICATE_KEY" ? "keep one of the two" : undefined;
    const message = fault.message.replace(/ at line \d+, column \d+:?[\s\S]*$/, "").split("\n", 1)[0] ?? "";
    this.#add("YAML_SYNTAX", start, end - start, lowerFirst(message), tabs ?? twice);
  }

  #add(code: ProblemCode, start: number, length: number, message: string, hint?: string): void {
    const { line, col } = this.#lines.linePos(Math.min(start, this.#text.length));
    const lineStart = start - Math.max(0, col - 1);
    const lineEnd = this.#text.indexOf("\n", start);
    const excerpt = this.#text.slice(Math.max(0, lineStart), lineEnd < 0 ? undefined : lineEnd).replace(/\r$/, "");
    this.problems.push({
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      file: this.#file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      length: Math.max(1, length),
      excerpt,
    });
  }
}

function isNodeWithRange(node: unknown): node is Node & { range: [number, number, number] } {
  return typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range);
}

function depthOf(node: unknown, depth: number): number {
  if (depth > MAX_DEPTH || isAlias(node) || typeof node !== "object" || node === null || !("items" in node))
    return depth;
  if (!Array.isArray(node.items)) return depth;
  let deepest = depth;
  for (const item of node.items) deepest = Math.max(deepest, depthOf(isPair(item) ? item.value : item, depth + 1));
  return deepest;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
