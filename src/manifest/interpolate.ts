import type { Variables } from "./manifest.ts";
import type { ProblemCode } from "./manifest-error.ts";
import { ManifestError } from "./manifest-error.ts";
import { shortened } from "./quoted.ts";
import { suggest } from "./suggest.ts";

/** What is wrong with one `${…}`: where it starts and ends in the text, and why. */
type InterpolationFault = {
  readonly code: Extract<ProblemCode, "UNDEFINED_NAME" | "BAD_EXPRESSION">;
  readonly start: number;
  readonly end: number;
  readonly message: string;
  /** The message without any part of the text but names, for where the text must not be shown. */
  readonly unquoted?: string;
  readonly hint: string;
  /** The name in `vars` that is not defined. */
  readonly variable?: string;
};

export type Interpolation = {
  readonly text: string;
  readonly faults: readonly InterpolationFault[];
  /** The values that were put in, for redaction. */
  readonly values: readonly string[];
  readonly usesSessionId: boolean;
  /** What of it differs by machine or session: `env.X`, `session.id`. Variables are named by what they are made from. */
  readonly variesBy: readonly string[];
  /** It needs the session's id, which is not known: `text` is what was written, and no value of anything. */
  readonly isWaiting: boolean;
};

/** What is wrong with a text that UTF-8 cannot write. */
export const HALF_CHARACTER = "half a character (a lone surrogate)";

/** Longest text that an interpolation may make, in characters. */
const MAX_RESULT = 8 * 1024 * 1024;
/** How far the end of an expression with another one in it is looked for, in characters. */
const MAX_NESTED = 200;

/**
 * Replaces `${vars.x}`, `${env.X}`, `${session.id}` and their `:-default` forms; `$${` is a literal `${`. Values are put
 * in as they are and never looked at again. Faults are collected, not thrown; a `${` that is no expression is one.
 */
export function interpolate(text: string, variables: Variables): Interpolation {
  const parts: string[] = [];
  const faults: InterpolationFault[] = [];
  const values: string[] = [];
  const variesBy = new Set<string>();
  let usesSessionId = false;
  let isWaiting = false;
  let position = 0;
  let length = 0;
  const push = (part: string) => {
    parts.push(part);
    length += part.length;
  };
  while (position < text.length && length <= MAX_RESULT) {
    const start = text.indexOf("${", position);
    if (start < 0) break;
    if (text[start - 1] === "$" && start - 1 >= position) {
      push(`${text.slice(position, start - 1)}\${`);
      position = start + 2;
      continue;
    }
    push(text.slice(position, start));
    const end = endOf(text, start);
    if (end < 0) {
      const hint = "close it with }, or write $${ for a literal ${";
      faults.push({ code: "BAD_EXPRESSION", start, end: start + 2, message: "${ is never closed", hint });
      position = text.length;
      break;
    }
    const expression = text.slice(start + 2, end);
    const found = evaluate(expression, variables);
    if ("message" in found) faults.push({ ...found, start, end: end + 1 });
    else {
      usesSessionId ||= found.isSessionId;
      isWaiting ||= found.value === undefined;
      for (const name of found.variesBy) variesBy.add(name);
      if (found.value !== undefined) {
        push(found.value);
        values.push(found.value);
      }
    }
    position = end + 1;
  }
  push(text.slice(position));
  if (length > MAX_RESULT) {
    const message = `the result is longer than ${MAX_RESULT} characters`;
    faults.push({ code: "BAD_EXPRESSION", start: 0, end: text.length, message, hint: "send large content as it is" });
  }
  return { text: isWaiting ? text : parts.join(""), faults, values, usesSessionId, variesBy: [...variesBy], isWaiting };
}

/** Where the `}` of the expression at `start` is, expressions in its default counted; -1 if there is none. */
function endOf(text: string, start: number): number {
  let depth = 0;
  for (const { 0: bracket, index } of text.slice(start, start + MAX_NESTED).matchAll(/\$\{|\}/g)) {
    depth += bracket === "}" ? -1 : 1;
    if (depth === 0) return start + index;
  }
  return text.indexOf("}", start);
}

/** A local template file as text. */
export type Template = { readonly file: string; readonly text: string; readonly sensitive: boolean };

/**
 * Interpolates a template. Nothing of a sensitive one is repeated in an error but the names in it.
 * @throws {ManifestError} with every fault at its line and column in the template.
 */
export function interpolateTemplate({ file, text, sensitive }: Template, variables: Variables): Interpolation {
  const result = interpolate(text, variables);
  if (result.faults.length === 0) return result;
  throw new ManifestError(
    result.faults.map(({ code, start, end, message, unquoted = message, hint }) => {
      const before = text.slice(0, start).split("\n");
      const column = (before.at(-1)?.length ?? 0) + 1;
      const excerpt = sensitive ? "" : (text.split("\n", before.length).at(-1) ?? "").replace(/\r$/, "");
      const place = { file, line: before.length, column, length: end - start };
      return { code, message: sensitive ? unquoted : message, hint, ...place, excerpt };
    }),
  );
}

/** Without a value: it waits for the session's id. */
type Found = {
  readonly value: string | undefined;
  readonly isSessionId: boolean;
  readonly variesBy: readonly string[];
};
type Fault = Omit<InterpolationFault, "start" | "end">;

const expressionPattern = /^\s*(vars|env|session)\.([A-Za-z_][A-Za-z0-9_.-]*)\s*(:?-.*)?$/s;

function evaluate(expression: string, variables: Variables): Found | Fault {
  const match = expressionPattern.exec(expression);
  if (match === null) {
    return {
      code: "BAD_EXPRESSION",
      message: `\${${shortened(expression)}} is not an expression`,
      unquoted: "this is not an expression",
      hint: "write ${vars.NAME}, ${env.NAME}, ${session.id}, ${vars.NAME:-default} or ${vars.NAME-default}; $${ is a literal ${",
    };
  }
  const [, space = "", written = "", operator = ""] = match;
  if (waits(space, written, operator, variables))
    return { value: undefined, isSessionId: true, variesBy: ["session.id"] };
  const { name, value, otherwise, replacesEmpty } = split(space, written, operator, variables);
  if (otherwise?.includes("${") === true) {
    return {
      code: "BAD_EXPRESSION",
      message: "a default is plain text and cannot hold ${",
      hint: "write the default out, or name it in vars",
    };
  }
  if (value?.isWellFormed() === false) {
    return {
      code: "BAD_EXPRESSION",
      message: `there is ${HALF_CHARACTER} in ${space}.${shortened(name)}`,
      hint: "give it a text of whole characters",
    };
  }
  if (value !== undefined && (value !== "" || otherwise === undefined || !replacesEmpty)) {
    const isSessionId = space === "session" || (space === "vars" && isBound(name, variables));
    return { value, isSessionId, variesBy: variedBy(space, name, variables) };
  }
  if (otherwise !== undefined) {
    return { value: otherwise, isSessionId: false, variesBy: variedBy(space, name, variables) };
  }
  return {
    code: "UNDEFINED_NAME",
    message: `${space}.${shortened(name)} is not defined`,
    hint: missingHint(space, name, variables),
    ...(space === "vars" ? { variable: name } : {}),
  };
}

type Reference = {
  readonly name: string;
  readonly value: string | undefined;
  readonly otherwise: string | undefined;
  /** `:-`: the default stands for an empty value too. */
  readonly replacesEmpty: boolean;
};

/**
 * Where the name ends and its default begins. A name may hold a `-` too: the longest that is defined is meant; if none is,
 * all of it where it is nearly the name of a variable with such a `-`, and otherwise what stands before the first one.
 */
function split(space: string, written: string, operator: string, variables: Variables): Reference {
  const cut = (end: number): Reference => {
    const [name, rest] = [written.slice(0, end), written.slice(end) + operator];
    const replacesEmpty = rest.startsWith(":-");
    const otherwise = rest === "" ? undefined : rest.slice(replacesEmpty ? 2 : 1);
    return { name, value: lookUp(space, name, variables), otherwise, replacesEmpty };
  };
  const whole = cut(written.length);
  const dashes = [...written.matchAll(/-/g)].map(({ index }) => index);
  const [first] = dashes;
  if (first === undefined || whole.value !== undefined) return whole;
  const known = dashes
    .toReversed()
    .map(cut)
    .find(({ value }) => value !== undefined);
  if (known !== undefined) return known;
  const others = namesIn(space, variables).filter((name) => name.includes("-"));
  return suggest(written, others) === undefined ? cut(first) : whole;
}

function lookUp(space: string, name: string, variables: Variables): string | undefined {
  const has = (record: Readonly<Record<string, string | undefined>>) =>
    Object.hasOwn(record, name) ? record[name] : undefined;
  if (space === "vars") return has(variables.vars);
  if (space === "env") return has(variables.env) ?? has(variables.envFiles?.().values ?? {});
  return name === "id" ? variables.sessionId : undefined;
}

/** What another machine or session may have another value for. */
function variedBy(space: string, name: string, { varsVaryBy }: Variables): readonly string[] {
  return space === "vars" ? (varsVaryBy?.get(name) ?? []) : [`${space}.${name}`];
}

/** Whether a variable is made from the session's id, whether that is known or not. */
function isBound(name: string, { ofSession }: Variables): boolean {
  return ofSession?.has(name) ?? false;
}

/** Whether nothing can be said of the name before the session's id is known. */
function waits(space: string, written: string, operator: string, variables: Variables): boolean {
  if (variables.sessionId !== undefined || space === "env") return false;
  if (space === "session") return written === "id" || (written.startsWith("id-") && operator === "");
  if (isBound(written, variables)) return true;
  const dashes = [...written.matchAll(/-/g)].map(({ index }) => written.slice(0, index));
  return lookUp(space, written, variables) === undefined && dashes.some((name) => isBound(name, variables));
}

function missingHint(space: string, name: string, variables: Variables): string {
  if (space === "session") return "the only name there is ${session.id}";
  const [fault] = space === "env" ? (variables.envFiles?.().faults ?? []) : [];
  const unread = fault === undefined ? "" : `; ${fault}`;
  const known = suggest(name, namesIn(space, variables));
  if (known !== undefined) return `did you mean \${${space}.${known}}?${unread}`;
  const shown = shortened(name);
  return space === "vars"
    ? `add ${shown} to vars, or give a default: \${vars.${shown}:-...}`
    : `set ${shown} in the environment or in .env, or give a default: \${env.${shown}:-...}${unread}`;
}

function namesIn(space: string, { vars, env, envFiles }: Variables): readonly string[] {
  if (space !== "env") return Object.keys(space === "vars" ? vars : {});
  return [...Object.keys(env), ...Object.keys(envFiles?.().values ?? {})];
}
