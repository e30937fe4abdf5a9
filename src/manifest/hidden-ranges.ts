import type { Document, YAMLMap } from "yaml";
import { isCollection, isMap, isPair, isScalar } from "yaml";
import { keyName } from "./key-name.ts";
import { suggest } from "./suggest.ts";

/** Offsets in a text: from `start` to before `end`. */
export type TextRange = { readonly start: number; readonly end: number };

/** Keys of an entry whose values are no content. */
const harmlessKeys = new Set(["path", "source", "template", "sha256", "mode", "ifPresent", "onConflict"]);

/**
 * Where a manifest holds what must not be shown: the content of every entry that is sensitive, or is probably meant to
 * be by a misspelt key, and the variables that go into it. `originals` says what copies stand for that aliases made.
 */
export function hiddenRanges(document: Document, originals: ReadonlyMap<unknown, unknown>): readonly TextRange[] {
  const ranges: TextRange[] = [];
  const variables = variablesOf(document);
  const hide = (node: unknown): void => {
    if (!isScalar(node) && !isCollection(node)) return;
    if (node.range) ranges.push({ start: node.range[0], end: node.range[1] });
    hide(originals.get(node));
    for (const child of childrenOf(node)) hide(child);
    for (const name of isScalar(node) ? variablesIn(node.value) : []) {
      const variable = variables.get(name);
      variables.delete(name);
      hide(variable);
    }
  };
  const search = (node: unknown): void => {
    if (isMap(node) && isSensitive(node)) for (const hidden of contentsOf(node)) hide(hidden);
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

function isSensitive(map: YAMLMap): boolean {
  return map.items.some(({ key, value }) => {
    return meansSensitive(keyName(key) ?? "") && !(isScalar(value) && value.value === false);
  });
}

/** The values that may be content, and keys without a value, which may be a part of one: `{ content: a, b }`. */
function contentsOf(map: YAMLMap): readonly unknown[] {
  return map.items.flatMap(({ key, value }) => {
    const name = keyName(key) ?? "";
    if (isScalar(value) && (harmlessKeys.has(name) || typeof value.value === "boolean")) return [];
    return isScalar(value) && value.value === null ? [key, value] : [value];
  });
}

function childrenOf(node: unknown): readonly unknown[] {
  return isCollection(node) ? node.items.flatMap((item) => (isPair(item) ? [item.key, item.value] : [item])) : [];
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
