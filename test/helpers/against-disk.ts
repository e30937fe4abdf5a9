import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApplyReport } from "../../src/report.ts";
import { look } from "./look.ts";

const hex = (digest: unknown) => String(digest).replace(/^sha256:/, "");

type Options = { readonly modes: boolean };

/**
 * What a report calls applied and the disk does not bear out (S34), one line each. The disk is read by `look`, without any
 * code of the product. Nobody else may have changed the workspace since.
 */
export function untrueOutcomes(root: string, outcomes: ApplyReport["outcomes"], { modes }: Options): readonly string[] {
  const found = look(root, { modes });
  const applied = outcomes.flatMap(({ step, result }) => (result.status === "applied" ? [step] : []));
  const modeOf = new Map<string, number>(
    applied.flatMap((step) => (step.op === "set-mode" ? [[step.path, step.mode] as const] : [])),
  );
  const wanted = new Set<string>(
    applied.flatMap((step) => (step.op === "delete" ? [] : step.op === "move" ? [step.to] : [step.path])),
  );
  const isWanted = (path: string) => [...wanted].some((other) => path === other || path.startsWith(`${other}/`));
  const named = (path: string, mode: number, what: string) =>
    `${modes ? `${(modeOf.get(path) ?? mode).toString(8)} ` : ""}${what}`;
  return applied.flatMap((step): readonly string[] => {
    const differs = (path: string, text: string) =>
      found[path] === text ? [] : [`${step.op} ${path}: ${found[path]}`];
    switch (step.op) {
      case "create-directory":
        return differs(step.path, named(step.path, step.mode, "directory"));
      case "write":
        return differs(step.path, named(step.path, step.mode, hex(step.digest)));
      case "create-link":
        return differs(step.path, `-> ${step.target}`);
      case "set-mode":
        return !modes || found[step.path]?.startsWith(`${step.mode.toString(8)} `)
          ? []
          : [`mode ${step.path}: ${found[step.path]}`];
      case "move": {
        const bytes = step.before.kind === "file" ? hex(step.before.digest) : undefined;
        const hasArrived = found[step.to] !== undefined && (bytes === undefined || found[step.to]?.endsWith(bytes));
        const hasLeft = isWanted(step.from) || found[step.from] === undefined;
        return hasArrived && hasLeft ? [] : [`move ${step.from} ${step.to}: ${found[step.from]}, ${found[step.to]}`];
      }
      case "delete":
        return found[step.path] === undefined || step.before.kind === "directory" || isWanted(step.path)
          ? []
          : [`delete ${step.path}: ${found[step.path]}`];
    }
  });
}

/** The paths at which the stored base and the disk do not say the same. */
export function untrueRecords(root: string, { modes }: Options): readonly string[] {
  const found = look(root, { modes });
  const state = join(root, ".agb-sync");
  // File tools may have to remove the old base first: until the next commit the new one then has its name of before.
  const name = readdirSync(state)
    .toSorted()
    .findLast((one) => /^base(?:\.\d+\.new|\.json)$/.test(one));
  const [, ...lines] = readFileSync(join(state, name ?? "base.json"), "utf8")
    .trimEnd()
    .split("\n");
  return lines.flatMap((line): readonly string[] => {
    const [path, kind, one, , digest]: readonly unknown[] = JSON.parse(line);
    if (typeof path !== "string") return [line];
    const mode = modes && typeof one === "number" ? `${one.toString(8)} ` : "";
    const text = kind === "l" ? `-> ${String(one)}` : kind === "d" ? `${mode}directory` : `${mode}${hex(digest)}`;
    return found[path] === text ? [] : [path];
  });
}

/** Whether these bytes are anywhere below the state directory: in a backup, or set aside. */
export function isKept(root: string, text: string): boolean {
  const state = join(root, ".agb-sync");
  if (!existsSync(state)) return false;
  return readdirSync(state, { recursive: true, withFileTypes: true }).some(
    (entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name), "utf8") === text,
  );
}
