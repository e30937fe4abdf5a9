import { forSession } from "../manifest/for-session.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Session } from "../session.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";
import { changedPaths } from "./changed-paths.ts";
import type { PullOptions, PullReport, PullSpec } from "./pull-report.ts";
import { Receiver } from "./receiver.ts";
import { remoteByFiles } from "./remote-by-files.ts";
import { remoteByShell } from "./remote-by-shell.ts";
import type { Remote } from "./remote-entry.ts";

/**
 * Fetches what `specs` (default: `pull:` of the manifest) name. Everything is received and staged before the first path is
 * put into its place; nothing is ever written outside of it, and what changed here since the last pull stays unless forced.
 * @throws {AgbSyncError} `USAGE` without anything to pull; {TransportError} `NOT_FOUND`, `BAD_ANSWER`.
 */
export async function pull(
  given: Manifest,
  session: Session,
  options: PullOptions,
  specs: readonly PullSpec[] = given.pull,
): Promise<PullReport> {
  const manifest = forSession(given, session.id);
  const { transport } = session.openWorkspace(manifest.root);
  const changed = options.changed === true ? await changedPaths(manifest, session, options) : undefined;
  const isMeant = (path: WorkspacePath, spec: PullSpec) => path === spec.path || isBelow(path, spec.path);
  const roots = specs.map(({ path }) => path);
  const wanted =
    changed === undefined ? roots : [...changed].filter((path) => specs.some((spec) => isMeant(path, spec)));
  const receiver = new Receiver(specs, options, changed);
  try {
    if (wanted.length > 0) {
      const { probe } = await transport.features(options.signal);
      const hasShell = transport.kind === "agb" && probe?.shell === true && probe.commands.has("tar");
      const isBatch = hasShell && probe.commands.has("base64") && options.strategy !== "steps";
      const paths = wanted.join("").length + wanted.length * 3 < MOST_NAMES_BYTES ? wanted : roots;
      const remote: Remote = isBatch
        ? await remoteByShell(transport, paths, options.signal)
        : remoteByFiles(
            transport,
            wanted,
            (path, isDirectory) => receiver.isExcluded(path, isDirectory),
            options.signal,
          );
      for await (const entry of remote.entries) await receiver.receive(entry);
      receiver.fail(remote.faults);
    }
    return await receiver.finish();
  } finally {
    await receiver.close();
  }
}

/** Paths that fit into a command; of more the directories that they lie in are fetched whole. */
const MOST_NAMES_BYTES = 30_000;
