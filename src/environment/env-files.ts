import { dirname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { UsageError } from "../errors.ts";
import type { EnvFiles } from "../manifest/manifest.ts";
import type { Environment } from "./parse-dot-env.ts";
import { parseDotEnv } from "./parse-dot-env.ts";
import type { RegularFile } from "./read-regular-file.ts";
import { oddKindOf, readRegularFile } from "./read-regular-file.ts";

/** Longest file of assignments that is read, in bytes. */
const MAX_BYTES = 1024 * 1024;

/**
 * What the files named with `--env-file` and the nearest `.env` assign: a later file counts before an earlier one, and
 * `.env` last. Nothing that is in the environment itself is looked up here.
 * @throws {UsageError} for a named file that is not there or cannot be read.
 */
export function readEnvFiles(cwd: string, named: readonly string[] = []): EnvFiles {
  const { values, faults } = nearestDotEnv(cwd);
  return { values: Object.assign(Object.create(null), values, readNamedEnvFiles(cwd, named)), faults };
}

/**
 * Of the nearest `.env` and the named files, those that assign AGB_API_KEY, by absolute path. One that cannot be read
 * assigns nothing here; who needs it says so.
 */
export function filesWithKey(cwd: string, named: readonly string[] = []): readonly string[] {
  const files = [...named.map((file) => resolve(cwd, file)), ...nearestOf(cwd)];
  return files.filter((file) => {
    const found = readRegularFile(file, MAX_BYTES);
    return found.kind === "read" && Object.hasOwn(parseDotEnv(found.bytes.toString()), "AGB_API_KEY");
  });
}

/** What the named files assign, without the nearest `.env`. @throws {UsageError} for one that cannot be read. */
export function readNamedEnvFiles(cwd: string, named: readonly string[]): Environment {
  return Object.assign(Object.create(null), ...named.map((file) => readNamed(cwd, file)));
}

/**
 * The environment without what Node took from these files: it reads an `--env-file` that is meant for the program too
 * (20 puts it into the environment, later versions only look whether it is there), in a dialect of its own, and a file
 * must not win over the environment.
 */
export function withoutPreloaded(env: Environment, cwd: string, named: readonly string[]): Environment {
  const own: Record<string, string | undefined> = { ...env };
  for (const file of named) {
    const found = readRegularFile(resolve(cwd, file), MAX_BYTES);
    const preloaded = found.kind === "read" ? parseEnv(found.bytes.toString()) : {};
    for (const [name, value] of Object.entries(preloaded)) if (own[name] === value) delete own[name];
  }
  return own;
}

/**
 * The nearest `.env`, upwards from `cwd`. What is no regular file has the name by chance (a virtual environment of
 * Python's, a pipe) and hides none above; one that cannot be read is told in `faults`.
 */
export function nearestDotEnv(cwd: string): EnvFiles {
  const [file] = nearestOf(cwd);
  return file === undefined ? { values: {}, faults: [] } : readDotEnv(file);
}

function nearestOf(cwd: string): readonly string[] {
  for (let directory = cwd; ; directory = dirname(directory)) {
    const file = join(directory, ".env");
    // A directory above that must not be searched holds none for us.
    if (oddKindOf(file) === undefined) return [file];
    if (dirname(directory) === directory) return [];
  }
}

function readDotEnv(file: string): EnvFiles {
  const found = readRegularFile(file, MAX_BYTES);
  if (found.kind === "read") return { values: parseDotEnv(found.bytes.toString()), faults: [] };
  return { values: {}, faults: [`${file} is left out: ${whyNot(found)}`] };
}

function readNamed(cwd: string, named: string): Environment {
  const found = readRegularFile(resolve(cwd, named), MAX_BYTES);
  if (found.kind === "read") return parseDotEnv(found.bytes.toString());
  throw new UsageError(`--env-file ${named}: ${whyNot(found)}`, { hint: "name a file of lines such as NAME=value" });
}

function whyNot(found: Exclude<RegularFile, { readonly kind: "read" }>): string {
  switch (found.kind) {
    case "absent":
      return "there is no such file";
    case "odd":
      return `it is ${found.what}`;
    case "too-large":
      return `it is larger than ${MAX_BYTES} bytes`;
    case "unreadable":
      return `it cannot be read: ${found.reason}`;
  }
}
