import type { Alias, Document, Pair, YAMLMap, YAMLSeq } from "yaml";
import { isAlias, isCollection, isMap, isScalar, Scalar } from "yaml";
import { keyName } from "./key-name.ts";
import { shortened } from "./quoted.ts";
import type { YamlFault } from "./yaml-fault.ts";

/** Values that aliases may stand for in all: nobody needs more, and a few lines can ask for billions. */
const MAX_EXPANDED = 100_000;

const TAG_PREFIX = "tag:yaml.org,2002:";
/** Tags that say no more than the value itself does. */
const plainTags = new Set([
  "!",
  ...["str", "int", "float", "bool", "null", "map", "seq"].map((tag) => TAG_PREFIX + tag),
]);

export type Expansion = {
  /** False when the aliases stand for too much: some are not replaced then. */
  readonly isComplete: boolean;
  readonly faults: readonly YamlFault[];
  /** Nodes that do not say what was meant; that they are wrong is told already. */
  readonly doubtful: ReadonlySet<unknown>;
  /** By each copy that an alias was replaced with: what it is a copy of. */
  readonly originals: ReadonlyMap<unknown, unknown>;
  /** By mapping: what was left out of it. */
  readonly dropped: ReadonlyMap<unknown, readonly Pair[]>;
};

/**
 * Replaces every alias in `document` with a copy of what it stands for, in the place of the alias; leaves out what a
 * manifest cannot hold: keys that are no plain text, and all but the first value of a key.
 */
export function expandAliases(document: Document, text: string): Expansion {
  const expander = new Expander(text);
  expander.take(document.contents);
  return expander;
}

type Value = Scalar | YAMLMap | YAMLSeq;
type Anchored = { readonly value: Value; isOpen: boolean; size: number };
/** A node and how many values are in it, itself among them. */
type Taken = { readonly node: unknown; readonly size: number };

class Expander implements Expansion {
  readonly faults: YamlFault[] = [];
  readonly doubtful = new Set<unknown>();
  readonly originals = new Map<unknown, unknown>();
  readonly dropped = new Map<unknown, readonly Pair[]>();
  readonly #text: string;
  readonly #anchors = new Map<string, Anchored>();
  #expanded = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isComplete(): boolean {
    return this.#expanded <= MAX_EXPANDED;
  }

  /** Goes through a node in the order of the text; gives what belongs in its place. */
  take(node: unknown): Taken {
    if (isAlias(node)) return this.#expand(node);
    if (!isScalar(node) && !isCollection(node)) return { node, size: 1 };
    this.#checkTag(node);
    const anchored: Anchored = { value: node, isOpen: true, size: 1 };
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, anchored);
    if (isMap(node)) anchored.size += this.#takePairs(node);
    else if (isCollection(node)) anchored.size += this.#takeItems(node);
    anchored.isOpen = false;
    return { node, size: anchored.size };
  }

  #takeItems(list: YAMLSeq): number {
    let size = 0;
    list.items.forEach((item, index) => {
      const taken = this.take(item);
      list.items[index] = taken.node;
      size += taken.size;
    });
    return size;
  }

  #takePairs(map: YAMLMap): number {
    const kept = new Map<string, Pair>();
    let size = 0;
    for (const pair of map.items) {
      if (!isAlias(pair.key)) this.take(pair.key);
      const taken = this.take(pair.value);
      pair.value = taken.node;
      size += taken.size;
      const name = keyName(pair.key);
      if (name === undefined) this.#refuseKey(map, pair.key);
      if (name === undefined || kept.has(name)) this.dropped.set(map, [...(this.dropped.get(map) ?? []), pair]);
      else kept.set(name, pair);
    }
    map.items = [...kept.values()];
    return size;
  }

  #expand(alias: Alias): Taken {
    const anchored = this.#anchors.get(alias.source);
    const name = shortened(alias.source);
    const before = this.#expanded;
    this.#expanded += anchored?.size ?? 0;
    if (anchored === undefined) {
      this.#refuse(alias, `there is no &${name} above this *${name}`, {
        unquoted: "there is no anchor for this alias above it",
        hint: "put it in quotes if it is no alias",
      });
    } else if (anchored.isOpen) {
      this.#refuse(alias, `*${name} stands in &${name} itself`, {
        unquoted: "the alias stands in its own anchor",
        hint: "write the value out",
      });
    } else if (this.isComplete) {
      const node = anchored.value.clone();
      node.range = alias.range ?? null;
      this.originals.set(node, anchored.value);
      return { node, size: anchored.size };
    } else if (before <= MAX_EXPANDED) {
      this.#refuse(alias, `the aliases stand for more than ${MAX_EXPANDED} values`, { hint: "write the values out" });
    }
    const node = new Scalar(null);
    node.range = alias.range ?? null;
    this.doubtful.add(node);
    return { node, size: 1 };
  }

  #refuseKey(map: YAMLMap, key: unknown): void {
    this.doubtful.add(map);
    if (isScalar(key)) this.#refuse(key, "a key is missing before the colon", { hint: "write `key: value`" });
    else if (isAlias(key) || isCollection(key))
      this.#refuse(key, "a key must be plain text", { hint: "write one word and a colon, such as `path:`" });
  }

  #checkTag(node: Value): void {
    const { tag } = node;
    if (tag === undefined || plainTags.has(tag)) return;
    this.doubtful.add(node);
    const written = tag.replace(TAG_PREFIX, "!!");
    const [start = 0] = node.range ?? [];
    const place = this.#text.lastIndexOf(written, start);
    this.faults.push({
      code: "YAML_SYNTAX",
      start: place < 0 ? start : place,
      end: place < 0 ? start + 1 : place + written.length,
      message: `the tag ${shortened(written)} is not supported`,
      unquoted: "tags are not supported",
      hint: "write the value as plain text, without a tag",
    });
  }

  #refuse(node: Alias | Value, message: string, more: Pick<YamlFault, "unquoted" | "hint">): void {
    const [start = 0, end = start + 1] = node.range ?? [];
    this.faults.push({ code: "YAML_SYNTAX", start, end, message, ...more });
  }
}
