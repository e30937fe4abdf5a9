import type { Document, Pair, YAMLMap } from "yaml";
import { isMap, isNode, isScalar, isSeq } from "yaml";
import type { Expansion } from "./expand-aliases.ts";
import { keyName } from "./key-name.ts";
import { suggest } from "./suggest.ts";

/** Offsets in a text: from `start` to before `end`. */
export type TextRange = { readonly start: number; readonly end: number };

/** Keys of an entry whose values are no content. */
const harmlessKeys = new Set(["path", "source", "template", "sha256", "mode", "ifPresent", "onConflict"]);

/**
 * Where a manifest holds what must not be shown: the content of every entry that is sensitive, or is probably meant to
 * be by a misspelt key, and the variables that go into it. `expansion` is what has been done to the document.
 */
export function hiddenRanges(document: Document, expansion: Expansion): readonly TextRange[] {
  const pairsOf = (map: YAMLMap) => [...map.items, ...(expansion.dropped.get(map) ?? [])];
  const childrenOf = (node: unknown) =>
    isMap(node) ? pairsOf(node).flatMap(({ key, value }) => [key, value]) : isSeq(node) ? node.items : [];
  const ranges: TextRange[] = [];
  const variables = variablesOf(document);
  const hide = (node: unknown): void => {
    if (!isNode(node)) return;
    if (node.range) ranges.push({ start: node.range[0], end: node.range[1] });
    hide(expansion.originals.get(node));
    for (const child of childrenOf(node)) hide(child);
    for (const name of isScalar(node) ? variablesIn(node.value) : []) {
      const variable = variables.get(name);
      variables.delete(name);
      hide(variable);
    }
  };
  const search = (node: unknown): void => {
    if (isMap(node) && isSensitive(pairsOf(node))) for (const hidden of contentsOf(pairsOf(node))) hide(hidden);
    else for (const child of childrenOf(node)) search(child);
  };
  search(document.contents);
  return ranges;
}

/** Whether a text that is no YAML may hold something sensitive: it has the word, or a key that is probably meant to be it. */
export function mentionsSensitive(text: string): boolean {
  const keys = new Set(Array.from(text.matchAll(/\b[a-z_-]{6,14}(?=["']?\s*:)/gi), ([key]) => key));
  return /sensitive/i.test(text) || [...keys].some(meansSensitive);
}

function meansSensitive(key: string): boolean {
  return !harmlessKeys.has(key) && key !== "content" && suggest(key, ["sensitive"]) !== undefined;
}

function isSensitive(pairs: readonly Pair[]): boolean {
  return pairs.some(({ key, value }) => {
    return meansSensitive(keyName(key) ?? "") && !(isScalar(value) && value.value === false);
  });
}

/** The values that may be content, and keys that may be a part of one: `{ content: a, b }` has a `b` without a value. */
function contentsOf(pairs: readonly Pair[]): readonly unknown[] {
  return pairs.flatMap(({ key, value }) => {
    const name = keyName(key);
    const isValue = isScalar(value);
    if (isValue && (harmlessKeys.has(name ?? "") || typeof value.value === "boolean")) return [];
    return name === undefined || (isValue && value.value === null) ? [key, value] : [value];
  });
}

/** The values of `vars`, by name. */
function variablesOf(document: Document): Map<string, unknown> {
  const top = isMap(document.contents) ? document.contents.items : [];
  const vars = top.find(({ key }) => suggest(keyName(key) ?? "", ["vars"]) !== undefined)?.value;
  return new Map(isMap(vars) ? vars.items.map(({ key, value }) => [keyName(key) ?? "", value]) : []);
}

function variablesIn(text: unknown): readonly string[] {
  if (typeof text !== "string") return [];
  return Array.from(text.matchAll(/\$\{\s*vars\.([A-Za-z0-9_.-]+?)\s*(?::-|\})/g), ([, name = ""]) => name);
}
