import { resolve } from "node:path";
import { UsageError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import { plural } from "../../plural.ts";
import { pull } from "../../pull/pull.ts";
import type { PullReport, PullSpec } from "../../pull/pull-report.ts";
import { printable } from "../../tree/printable.ts";
import { baseName, ROOT, workspacePath, workspacePathFault } from "../../tree/workspace-path.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { formatBytes } from "../quantities.ts";

type Options = CommonOptions & {
  readonly to?: string;
  readonly manifest?: string;
  readonly exclude?: readonly string[];
  readonly changed?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
};

/** Brings back what the manifest, or the command line, names. */
export async function run(context: Context, paths: readonly string[], own: Options = {}): Promise<number> {
  const named = own.to === undefined ? (paths[0] ?? own.manifest) : own.manifest;
  if (own.to === undefined && (paths.length > 1 || (paths.length === 1 && own.manifest !== undefined))) {
    throw new UsageError("paths are pulled with --to only", { hint: "say where to: agb-sync pull PATH... --to DIR" });
  }
  if (own.to !== undefined && paths.length === 0) {
    throw new UsageError("--to goes with paths below root", { hint: "name them: agb-sync pull PATH... --to DIR" });
  }
  const { manifest: path, options } = context.sortOut(named, own);
  const { console } = context;
  context.listenForSignals();
  const manifest = await context.loadManifest(path, undefined, false);
  const given = own.to === undefined ? undefined : specsOf(context, paths, own.to, own.exclude ?? []);
  if (given === undefined && manifest.pull.length === 0) throw nothingToPull(manifest);
  const session = await context.connect(manifest, options, false);
  try {
    const { cacheDirectory } = context.sourceOptions(options);
    const { strategy } = options;
    const { changed = false, dryRun = false, force = false } = own;
    const settings = { signal: context.signal, changed, dryRun, force };
    const ready = context.forSession(manifest, session.id);
    context.whenInterrupted = "what was not in its place yet is as it was";
    const report = await context.during("pulling", async () =>
      pull(
        ready,
        session,
        {
          ...settings,
          ...(cacheDirectory === undefined ? {} : { cacheDirectory }),
          ...(strategy === undefined ? {} : { strategy }),
        },
        given,
      ),
    );
    const code = codeOf(report);
    if (options.json === true) {
      const { outcomes, unchanged, bytes } = report;
      const list = outcomes.map(({ path, to = null, status, reason = null }) => ({ path, to, status, reason }));
      console.printData({
        type: "pull",
        sessionId: session.id,
        dryRun,
        outcomes: list,
        unchanged,
        bytes,
        exitCode: code,
      });
    } else for (const line of render(report, own)) console.print(line);
    return code;
  } finally {
    await session.close();
  }
}

function nothingToPull({ file }: Manifest): UsageError {
  return new UsageError(`${file} has no pull:`, {
    hint: "say in it what comes back, or name it: agb-sync pull PATH... --to DIR",
  });
}

function specsOf(
  context: Context,
  paths: readonly string[],
  to: string,
  exclude: readonly string[],
): readonly PullSpec[] {
  const directory = resolve(context.cwd, to);
  return paths.map((text) => {
    if (/^(?:\.\/?)+$/.test(text)) return { path: ROOT, to: directory, exclude };
    const fault = workspacePathFault(text);
    if (fault !== undefined) throw new UsageError(`path ${JSON.stringify(text)} ${fault}`);
    const path = workspacePath(text);
    return { path, to: resolve(directory, baseName(path)), exclude };
  });
}

function codeOf({ outcomes }: PullReport): number {
  const has = (...statuses: readonly string[]) => outcomes.some(({ status }) => statuses.includes(status));
  return has("refused", "failed") ? exitCodes.failed : has("conflict") ? exitCodes.conflicts : exitCodes.done;
}

const SIGNS = { created: "+", replaced: "~", deleted: "-", conflict: "!", refused: "!", failed: "!", unchanged: " " };

function render({ outcomes, unchanged, bytes }: PullReport, { dryRun = false }: Options): readonly string[] {
  const count = (...statuses: readonly string[]) => outcomes.filter(({ status }) => statuses.includes(status)).length;
  const lines = outcomes.map(({ path, to, status, reason }) => {
    const place = to === undefined ? "" : ` -> ${printable(to)}`;
    const why = reason === undefined ? "" : `: ${status} (${printable(reason)})`;
    return `  ${SIGNS[status]} ${printable(path)}${place}${why}`;
  });
  const written = count("created", "replaced");
  const parts = [
    `${plural(written, "path")} (${formatBytes(bytes)})`,
    ...(unchanged > 0 ? [`${unchanged} unchanged`] : []),
    ...(count("deleted") > 0 ? [`${count("deleted")} deleted`] : []),
    ...(count("conflict") > 0 ? [`${plural(count("conflict"), "conflict")} left alone (--force replaces them)`] : []),
    ...(count("refused", "failed") > 0 ? [`${count("refused", "failed")} not pulled`] : []),
  ];
  return [...lines, `${dryRun ? "Would pull" : "Pulled"}: ${parts.join(", ")}.`];
}
