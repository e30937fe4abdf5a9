import type { Document } from "yaml";
import { isCollection, isMap, isScalar, isSeq, Pair, Scalar, visit } from "yaml";
import { keyName } from "./key-name.ts";

/** A key of a mapping or an index of a sequence. */
export type Keys = readonly (string | number)[];

/** The values of a YAML document by their keys; knows which of them are not what was meant. */
export class ManifestTree {
  readonly #document: Document | undefined;
  readonly #doubtful: Set<unknown>;
  readonly #waiting = new Set<unknown>();

  constructor(document: Document | undefined, doubtful: ReadonlySet<unknown> = new Set()) {
    this.#document = document;
    this.#doubtful = new Set(doubtful);
  }

  /** Plain data. */
  toData(): unknown {
    return this.#document?.toJS();
  }

  /** The node at `keys`; undefined if there is none. */
  nodeAt(keys: Keys): unknown {
    let node: unknown = this.#document?.contents;
    for (const key of keys) node = isSeq(node) ? node.items[Number(key)] : pairOf(node, key)?.value;
    return node;
  }

  /** The key and the value at `keys`; undefined if it is an item of a list, or not there. */
  pairAt(keys: Keys): Pair | undefined {
    return pairOf(this.nodeAt(keys.slice(0, -1)), keys.at(-1) ?? "");
  }

  /** From where to where the value at `keys` is written, or the nearest thing around it that is. */
  rangeAt(keys: Keys): readonly [start: number, end: number] {
    for (let depth = keys.length; depth >= 0; depth -= 1) {
      const node = this.nodeAt(keys.slice(0, depth));
      const range = isScalar(node) || isCollection(node) ? node.range : undefined;
      if (range) return [range[0], range[1]];
    }
    return [0, 1];
  }

  /** The keys of the mapping at `keys`; none if it is something else. */
  keysAt(keys: Keys): readonly string[] {
    const map = this.nodeAt(keys);
    return isMap(map) ? map.items.map(({ key }) => keyName(key) ?? "") : [];
  }

  /** What is written at `keys`, be it a text or not; empty for a list or a mapping. */
  writtenAt(keys: Keys): string {
    const node = this.nodeAt(keys);
    if (!isScalar(node)) return "";
    return typeof node.value === "string" ? node.value : (node.source ?? "");
  }

  /** Numbers behind `key` as they were written: `0644` stays `0644`, although YAML 1.2 reads it as the number 644. */
  keepWritten(key: string): void {
    if (this.#document === undefined) return;
    visit(this.#document, {
      Pair: (_, pair) => {
        const { value } = pair;
        if (!isScalar(value) || typeof value.value !== "number" || value.source === undefined) return;
        if (keyName(pair.key) === key) value.value = value.source;
      },
    });
  }

  /** Gives the key at `keys` another name. */
  rename(keys: Keys, name: string): void {
    const pair = this.pairAt(keys);
    if (isScalar(pair?.key)) pair.key.value = name;
  }

  /** Leaves out the key at `keys` and its value. */
  drop(keys: Keys): void {
    const map = this.nodeAt(keys.slice(0, -1));
    const dropped = this.pairAt(keys);
    if (isMap(map)) map.items = map.items.filter((pair) => pair !== dropped);
  }

  /** Puts `value` where something wrong or nothing is; it is not sound. */
  standIn(keys: Keys, value: unknown): void {
    if (this.#document === undefined) return;
    const node = this.#document.createNode(value);
    node.range = [...this.rangeAt(keys), 0];
    this.#doubtful.add(node);
    const parent = this.nodeAt(keys.slice(0, -1));
    const key = keys.at(-1) ?? "";
    const pair = this.pairAt(keys);
    if (pair !== undefined) pair.value = node;
    else if (isMap(parent)) parent.items.push(new Pair(new Scalar(String(key)), node));
    else if (isSeq(parent)) parent.items[Number(key)] = node;
  }

  /** From now on the value at `keys` is not sound. */
  doubt(keys: Keys): void {
    const node = this.nodeAt(keys);
    if (node !== undefined) this.#doubtful.add(node);
  }

  /** From now on the value at `keys` is not known yet. */
  await(keys: Keys): void {
    const node = this.nodeAt(keys);
    if (node !== undefined) this.#waiting.add(node);
  }

  /** Whether the value at `keys`, or any value in it, is not known yet. */
  isWaiting(keys: Keys): boolean {
    const waits = (node: unknown): boolean => {
      if (this.#waiting.has(node)) return true;
      if (isMap(node)) return node.items.some(({ value }) => waits(value));
      return isSeq(node) && node.items.some(waits);
    };
    return this.#waiting.size > 0 && waits(this.nodeAt(keys));
  }

  /** Whether the value at `keys` is what was meant, as far as is known. What is in it is another question. */
  isSound(keys: Keys): boolean {
    return !this.#doubtful.has(this.nodeAt(keys));
  }
}

function pairOf(map: unknown, key: string | number): Pair | undefined {
  return isMap(map) ? map.items.find((pair) => keyName(pair.key) === String(key)) : undefined;
}
