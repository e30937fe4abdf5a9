import type { Document, LineCounter, ParsedNode, YAMLError } from "yaml";
import { isCollection, isMap, isPair, isScalar, parseAllDocuments, visit } from "yaml";
import type { YamlFault } from "./yaml-fault.ts";
import { yamlFault } from "./yaml-fault.ts";

/** The first document of a text and what is wrong with it; `isWhole` when nothing of the text had to be guessed. */
export type ParsedYaml = {
  readonly document: Document<ParsedNode> | undefined;
  readonly isWhole: boolean;
  readonly faults: readonly YamlFault[];
};

/** Deepest nesting that is looked at; the schema needs five levels. */
const MAX_DEPTH = 32;

/** Reads a text as one YAML document that is a mapping. A key that is there twice leaves it whole: the first one counts. */
export function parseYaml(text: string, lines: LineCounter): ParsedYaml {
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    stringKeys: false,
    logLevel: "error",
  });
  const nul = text.indexOf("\0");
  if (nul >= 0) {
    const message = "the manifest holds a NUL character and is not UTF-8 text";
    return broken(undefined, { ...fault(nul, 1, message, "save it as UTF-8"), code: "NOT_TEXT" });
  }
  const [document, second] = Array.isArray(documents) ? documents : [];
  const errors = [...(document?.errors ?? []), ...(document?.warnings ?? [])];
  if (document === undefined || (document.contents === null && errors.length === 0)) {
    return broken(document, fault(0, 1, "the manifest is empty", "start one with: agb-sync init"));
  }
  const deep = firstBelow(document.contents, MAX_DEPTH);
  if (deep !== undefined || errors.some(({ code }) => code === "RESOURCE_EXHAUSTION")) {
    const start = deep ?? errors[0]?.pos[0] ?? 0;
    return broken(document, fault(start, 1, `the manifest is nested deeper than ${MAX_DEPTH} levels`, "flatten it"));
  }
  const faults = onePerLine(errors, lines).flatMap((error) => faultsOf(error, document, text));
  if (errors.some(({ code }) => code !== "DUPLICATE_KEY")) return { document, isWhole: false, faults };
  if (second !== undefined) {
    const more = fault(second.range[0], 1, "the manifest has more than one document", "keep one, without ---");
    return broken(document, ...faults, more);
  }
  if (!isMap(document.contents)) {
    const [start, end] = document.contents?.range ?? [0, 1];
    const message = "the manifest is not a mapping";
    return broken(document, { ...fault(start, end - start, message, "start with: version: 1"), code: "WRONG_TYPE" });
  }
  return { document, isWhole: true, faults };
}

function broken(document: Document<ParsedNode> | undefined, ...faults: readonly YamlFault[]): ParsedYaml {
  return { document, isWhole: false, faults };
}

function fault(start: number, length: number, message: string, hint: string): YamlFault {
  return { code: "YAML_SYNTAX", start, end: start + length, message, hint };
}

/** Where the first node below `depth` levels starts. */
function firstBelow(node: unknown, depth: number): number | undefined {
  if (!isCollection(node)) return undefined;
  if (depth === 0) return node.range?.[0] ?? 0;
  for (const item of node.items) {
    const found = firstBelow(isPair(item) ? item.value : item, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What follows an error on its line is mostly its consequence; only the reason for a bad key comes second. */
function onePerLine(errors: readonly YAMLError[], lines: LineCounter): readonly YAMLError[] {
  const kept = new Map<number, YAMLError>();
  for (const error of errors) {
    const { line } = lines.linePos(error.pos[0]);
    if (!kept.has(line) || error.code === "MULTILINE_IMPLICIT_KEY") kept.set(line, error);
  }
  return [...kept.values()];
}

/** One fault for an error; for what is never closed, at each character that opened it. */
function faultsOf(error: YAMLError, document: Document, text: string): readonly YamlFault[] {
  const openings = /closing|end with a/.test(error.message) ? openingsUntil(error.pos[0], document) : [];
  if (openings.length === 0) return [yamlFault(error)];
  return openings.map((start) => {
    const character = text.charAt(start);
    const closing = character === "[" ? "]" : character === "{" ? "}" : character;
    return fault(start, 1, `this ${character} is never closed`, `close it with ${closing}`);
  });
}

/** Where the quoted text or the flow collections start that the end at `position` leaves open. */
function openingsUntil(position: number, document: Document): readonly number[] {
  const found: { start: number; isText: boolean }[] = [];
  visit(document, {
    Node: (_, node) => {
      const [start = 0, end] = node.range ?? [];
      const isQuoted = isScalar(node) && (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE");
      if (end === position && (isQuoted || (isCollection(node) && node.flow === true)))
        found.push({ start, isText: isQuoted });
    },
  });
  // An open quote swallows the brackets that would close what is around it.
  const texts = found.filter(({ isText }) => isText);
  return (texts.length > 0 ? texts : found).map(({ start }) => start);
}
