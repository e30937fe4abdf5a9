import type { Conflict } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import { printable } from "../tree/printable.ts";
import type { Ink } from "./ink.ts";
import { shellOption, shellWord } from "./shell-word.ts";

/** What the command line named, so that another command can be pointed at the same workspace. */
export type Given = {
  /** `-C` */
  readonly directory?: string | undefined;
  readonly manifest?: string | undefined;
  readonly local?: string | true | undefined;
  /** The session's id, where nothing else leads to it. */
  readonly session?: string | undefined;
};

/** More paths than this are not written out. */
const MOST_PATHS = 8;

/** `agb-sync apply deploy.yaml --local --overwrite hello.txt`, ready to be pasted into a shell. */
export function commandAgain(command: string, given: Given, more: readonly string[] = []): string {
  const { manifest } = given;
  return [
    ...start(given),
    command,
    ...(manifest === undefined ? [] : [shellWord(manifest)]),
    ...place(given),
    ...more,
  ].join(" ");
}

/** The command that brings a backup back. */
export function restoreCommand(name: string, given: Given): string {
  const manifest = given.manifest === undefined ? [] : [shellOption("--manifest", given.manifest)];
  return [...start(given), "backups restore", shellWord(name), ...place(given), ...manifest].join(" ");
}

/** The line that says how what was replaced is brought back; none when there is no backup. */
export function restoreHints(backupPath: string | undefined, given: Given, { paint }: Ink): readonly string[] {
  if (backupPath === undefined) return [];
  const name = backupPath.slice(backupPath.lastIndexOf("/") + 1);
  return [`  bring them back: ${paint("bold", restoreCommand(name, given))}`];
}

/** How a session that was made without a name can be used again, or that it will be. */
export function sessionHint(sessionId: string, name: string | undefined, given: Given): string {
  if (name !== undefined) return `the next apply finds it by its name, ${printable(name)}`;
  const command = commandAgain("apply", { ...given, session: sessionId });
  return `use it again with: ${command} (or give it a name in the manifest: session.name)`;
}

/** How the conflicts that are left can be settled, as lines; none when there are none. */
export function settleHints(conflicts: readonly Conflict[], given: Given, { paint }: Ink): readonly string[] {
  const open = (way: "overwrite" | "keep") =>
    conflicts.filter(({ settledBy }) => settledBy === undefined || settledBy.includes(way)).map(({ path }) => path);
  const line = (label: string, way: "overwrite" | "keep", what: string) => {
    const paths = open(way);
    if (paths.length === 0) return [];
    const isLong = paths.length > MOST_PATHS;
    const options = isLong ? [`--on-conflict ${way}`] : paths.map((path) => shellOption(`--${way}`, path));
    const some = isLong ? `, or some of them: --${way} PATH...` : "";
    return [
      `  ${label} ${paint("bold", commandAgain("apply", given, options))}`,
      paint("dim", `  ${" ".repeat(label.length)} (${what}${some})`),
    ];
  };
  const stuck = conflicts.filter(({ settledBy }) => settledBy?.length === 0).length;
  return [
    ...line("overwrite:", "overwrite", "what the session has goes to a backup"),
    ...line("keep:     ", "keep", "what the session has stays"),
    ...(stuck > 0
      ? [`  ${plural(stuck, "conflict")} can only be settled in the session: move away what is in the way`]
      : []),
  ];
}

function start({ directory }: Given): readonly string[] {
  return directory === undefined ? ["agb-sync"] : ["agb-sync", shellOption("-C", directory)];
}

/** Behind the manifest: an option whose value may be left out must not swallow it. */
function place({ local, session }: Given): readonly string[] {
  if (local !== undefined) return [local === true ? "--local" : shellOption("--local", local)];
  return session === undefined ? [] : [shellOption("--session", session)];
}
