import { ShellEngine } from "../../src/engine/shell/shell-engine.ts";
import type { Session } from "../../src/session.ts";
import { shellOf } from "../../src/transport/run-marked.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { forwarding } from "./forwarding.ts";
import { withWorkspace } from "./with-workspace.ts";

/** Places in the program of a commit in place where something can happen, each the text that stands there once. */
const places = {
  "once it has the lock": "renew &\n",
  "after it looked, before it works": '. "$ST/ops"',
  "after it wrote, before it looks at that": 'records <"$ST/placed"',
  "before it writes base": '[ "$(wc -l <"$ST/base.new")"',
} as const;

export type Place = keyof typeof places;

/**
 * The same session, in batches, in whose next commit `happens` (lines of shell without single quotes; `$R` is the root)
 * comes to pass just there: for certain, instead of by chance.
 */
export function inCommit(session: Session, happens: Partial<Record<Place, string>>): Session {
  let isArmed = true;
  return withShell(session, async (command, ask) => {
    const isCommit = isArmed && command.includes(places["after it looked, before it works"]);
    if (!isCommit) return await ask(command);
    isArmed = false;
    const changed = Object.entries(places).reduce((text, [place, mark]) => {
      const lines = Object.entries(happens).find(([name]) => name === place)?.[1];
      if (lines === undefined) return text;
      if (text.split(mark).length !== 2) throw new Error(`the commit has no place ${place}`);
      return text.replace(mark, () => `${lines}\n${mark}`);
    }, command);
    return await ask(changed);
  });
}

type Answer = Awaited<ReturnType<NonNullable<Transport["shell"]>>>;

/** The same session, in batches, each of whose commands goes through `on`. */
export function withShell(
  session: Session,
  on: (command: string, ask: (command: string) => Promise<Answer>) => Promise<Answer>,
): Session {
  return withWorkspace(session, (workspace) => {
    const inner = workspace.transport;
    const shell: NonNullable<Transport["shell"]> = async (request, signal) =>
      await on(request.command, async (command) => await shellOf(inner)({ ...request, command }, signal));
    const transport = forwarding(inner, { shell });
    const openAt = (root: string) => forwarding(session.openWorkspace(root).transport, {});
    return { transport, steps: workspace.steps, batch: new ShellEngine(transport, openAt) };
  });
}
