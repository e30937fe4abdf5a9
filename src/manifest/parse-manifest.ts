import { workspacePathFault } from "../tree/workspace-path.ts";
import type { ParseOptions } from "./build-manifest.ts";
import { buildManifest, reportPath, reportRoot } from "./build-manifest.ts";
import { checkPaths } from "./check-paths.ts";
import { checkShape } from "./check-shape.ts";
import { interpolate } from "./interpolate.ts";
import type { Manifest, Variables } from "./manifest.ts";
import { ManifestError } from "./manifest-error.ts";
import type { ManifestFile } from "./manifest-file.ts";
import { ManifestSource } from "./manifest-source.ts";
import { rootFault } from "./root-fault.ts";

/**
 * From text to a checked manifest. Looks at no file.
 * @throws {ManifestError} with every problem at once.
 */
export function parseManifest(text: string, options: ParseOptions): Manifest {
  const source = new ManifestSource(options.file, text);
  if (!source.isReadable) throw new ManifestError(source.problems);
  source.keepWritten((key) => key === "mode");
  const { variables, ...read } = readVariables(source, options);
  let { usesSessionId } = read;
  const valuesAt = new Map<string, readonly string[]>();
  source.interpolate(variables, (keys, result) => {
    valuesAt.set(keys.join("/"), result.values);
    usesSessionId ||= result.usesSessionId;
  });
  const data = source.toData();
  if (!checkShape(data, source)) {
    checkLoosely(data, source);
    throw new ManifestError(source.problems);
  }
  if (source.problems.length > 0) throw new ManifestError(source.problems);

  const manifest: Manifest = {
    ...buildManifest(data, source, options),
    variables,
    usesSessionId,
    secrets: secretsOf(data, valuesAt),
  };
  checkPaths(manifest, source);
  if (source.problems.length > 0) throw new ManifestError(source.problems);
  return manifest;
}

/** What can be said about root and paths although the shape is wrong, so that every problem is told in one go. */
function checkLoosely(data: unknown, source: ManifestSource): void {
  const top = recordOf(data);
  const { root } = top;
  const fault =
    typeof root === "string" && root !== "" ? rootFault(root, top["prune"] === "all" ? "all" : "managed") : undefined;
  if (fault !== undefined) reportRoot(source, String(root), fault);
  for (const section of ["directories", "files", "trees", "links", "absent"]) {
    const entries: unknown = top[section];
    if (!Array.isArray(entries)) continue;
    entries.forEach((entry: unknown, index) => {
      const path: unknown = typeof entry === "string" ? entry : recordOf(entry)["path"];
      if (typeof path !== "string" || path === "" || (section === "trees" && /^\.\/?$/.test(path))) return;
      const keys = typeof entry === "string" ? [section, index] : [section, index, "path"];
      const pathFault = workspacePathFault(path);
      if (pathFault !== undefined) reportPath(source, keys, path, pathFault);
    });
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** In the order of the text: a variable may use the environment and the variables above it. */
function readVariables(source: ManifestSource, options: ParseOptions): Pick<Manifest, "variables" | "usesSessionId"> {
  const { env, sessionId } = options;
  const vars: Record<string, string> = {};
  const variables: Variables = { vars, env, ...(sessionId === undefined ? {} : { sessionId }) };
  const written = source.writtenValues(["vars"]);
  const hint = "a variable may use the environment and the variables above it";
  let usesSessionId = false;
  for (const [name, text] of written) {
    const result = interpolate(text, variables);
    const faults = result.faults.map((fault) => (written.has(fault.variable ?? "") ? { ...fault, hint } : fault));
    source.replace(["vars", name], text, { ...result, faults });
    vars[name] = result.text;
    usesSessionId ||= result.usesSessionId;
  }
  return { variables, usesSessionId };
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
