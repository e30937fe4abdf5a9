import { join } from "node:path";
import { connect } from "../../../src/connect.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { type Local, layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();

/** A source and an embedded session of so many files that it is listed ahead; `applyOnce` gives the number of steps. */
export function largeSession() {
  const directory = temporaryDirectory();
  const source = join(directory, "source");
  const many = Array.from({ length: 2100 }, (_, index): [string, Local] => [
    `d${index % 50}/f${index}`,
    `${index % 7}`,
  ]);
  layOut(source, { ...Object.fromEntries(many), link: { link: "d1" } });
  const [local, cacheDirectory] = [join(directory, "session"), join(directory, "cache")];
  const manifest = mirrorOf(directory);
  const open = () => connect({ local, env: {}, cwd: "/", signal });
  const applyOnce = async () => (await apply(manifest, await open(), { signal, cacheDirectory })).plan.steps.length;
  return { source, local, root: join(local, "tmp/workspace"), cacheDirectory, manifest, open, applyOnce };
}
