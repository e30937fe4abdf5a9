import { listBackups, restoreBackup } from "../../../src/state/backups.ts";
import { EmbeddedTransport } from "../../../src/transport/embedded/embedded-transport.ts";

// Restores the oldest backup of the embedded session `local` and prints what became of it.
const [local = ""] = process.argv.slice(2);
const { signal } = new AbortController();

async function main(): Promise<void> {
  const transport = new EmbeddedTransport({ directory: local, root: "/tmp/workspace" });
  const [name = ""] = await listBackups(transport, signal);
  const { restored, failed } = await restoreBackup(transport, name, [], new Date(), signal);
  process.stdout.write(JSON.stringify({ restored, failed: failed.map(({ path, error }) => [path, error.message]) }));
}
void main();
