import type { ParseOptions } from "./build-manifest.ts";
import { buildManifest } from "./build-manifest.ts";
import { checkPaths } from "./check-paths.ts";
import { checkShape, correctKeys } from "./check-shape.ts";
import { interpolate } from "./interpolate.ts";
import type { Manifest, Variables, Varying } from "./manifest.ts";
import { ManifestError } from "./manifest-error.ts";
import type { ManifestFile } from "./manifest-file.ts";
import { ManifestSource } from "./manifest-source.ts";
import type { Keys } from "./manifest-tree.ts";

/**
 * From text to a checked manifest. Looks at no file.
 * @throws {ManifestError} with every problem at once.
 */
export function parseManifest(text: string, options: ParseOptions): Manifest {
  const source = new ManifestSource(options.file, text);
  if (!source.isReadable) throw new ManifestError(source.problems);
  correctKeys(source);
  source.tree.keepWritten("mode");
  source.reportHalfCharacters();
  const { variables, ...read } = readVariables(source, options);
  let { usesSessionId } = read;
  const valuesAt = new Map<string, readonly string[]>();
  const varying: Varying[] = [];
  source.interpolate(variables, (keys, result, written) => {
    valuesAt.set(keys.join("/"), result.values);
    usesSessionId ||= result.usesSessionId;
    if (result.variesBy.length > 0) varying.push(varyingAt(source, keys, result.variesBy, written));
    if (result.usesSessionId && keys[0] === "session") reportOwnId(source, keys);
  });
  const data = checkShape(source);
  if (data === undefined) throw new ManifestError(source.problems);
  const { sourceFault: _once, ...others } = options;
  const manifest: Manifest = {
    ...buildManifest(data, source, options),
    variables,
    varying,
    usesSessionId,
    // What is wrong with a local source was told the first time.
    ...(usesSessionId ? { resolve: (sessionId) => parseManifest(text, { ...others, sessionId }) } : {}),
    secrets: secretsOf(data, valuesAt),
  };
  checkPaths(manifest, source);
  if (source.problems.length > 0) throw new ManifestError(source.problems);
  return manifest;
}

function varyingAt(source: ManifestSource, keys: Keys, names: readonly string[], written: string): Varying {
  const [section = "", second] = keys;
  const isInList = typeof second === "number";
  const at = source.positionOf(isInList ? keys.slice(0, 2) : keys);
  return { section: String(section), at, key: String((isInList ? keys[2] : second) ?? ""), names, written };
}

/** What a session is found by or created with cannot hold the id that it gets by that. */
function reportOwnId(source: ManifestSource, keys: Keys): void {
  const hint = "write it out, or make it from vars and env";
  source.report("BAD_EXPRESSION", keys, `${keys.join(".")} cannot hold the id of the session that it asks for`, hint);
}

/** In the order of the text: a variable may use the environment and the variables above it. */
function readVariables(source: ManifestSource, options: ParseOptions): Pick<Manifest, "variables" | "usesSessionId"> {
  const { env, envFiles, sessionId, vars: given = {} } = options;
  // Without a prototype: `__proto__` is a name like any other.
  const vars: Record<string, string> = Object.assign(Object.create(null), given);
  const ofSession = new Set<string>();
  const varsVaryBy = new Map<string, readonly string[]>();
  const variables: Variables = {
    vars,
    env,
    ...(envFiles === undefined ? {} : { envFiles }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ofSession,
    varsVaryBy,
  };
  const names = source.tree.keysAt(["vars"]);
  const hint = "a variable may use the environment and the variables above it";
  for (const name of names) {
    // What was given instead is meant as it is; what stands here is not looked at.
    if (Object.hasOwn(given, name)) {
      source.tree.standIn(["vars", name], given[name]);
      continue;
    }
    const text = source.tree.writtenAt(["vars", name]);
    const result = interpolate(text, variables);
    const faults = result.faults.map((fault) =>
      fault.variable !== undefined && names.includes(fault.variable) ? { ...fault, hint } : fault,
    );
    source.replace(["vars", name], text, { ...result, faults });
    if (result.usesSessionId) ofSession.add(name);
    varsVaryBy.set(name, result.variesBy);
    if (!result.isWaiting) vars[name] = result.text;
  }
  return { variables, usesSessionId: ofSession.size > 0 };
}

/** Everything that must not be shown: sensitive contents, and what was put into sensitive entries. */
function secretsOf(data: ManifestFile, valuesAt: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const secrets = new Set<string>();
  data.files?.forEach((file, index) => {
    if (file.sensitive !== true) return;
    if (file.content !== undefined) secrets.add(file.content);
    for (const value of valuesAt.get(`files/${index}/content`) ?? []) secrets.add(value);
  });
  secrets.delete("");
  return [...secrets].toSorted((one, other) => other.length - one.length);
}
