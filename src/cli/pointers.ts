/** What people who know other tools look for, and what does it here. */
const options: Readonly<Record<string, string>> = {
  "--dry-run": "agb-sync plan (or apply --dry-run) shows what would be done and changes nothing",
  "--force":
    "say what is to be forced: --overwrite PATH or --on-conflict overwrite replaces what the session changed, --allow-mass-delete lets most of it go, and agb-sync unlock removes the lock of a dead apply",
  "--watch": "that is a command: agb-sync watch",
  "--diff": "agb-sync plan --diff shows it",
  "--delete": "write prune: all in the manifest, for all of it or for one directory",
  "--prune": "write prune: all in the manifest, for all of it or for one directory",
  "--exclude": "write it into the manifest: ignore: for everything, exclude: for a tree",
  "--ignore": "write it into the manifest: ignore: for everything, exclude: for a tree",
  "--file": "name the manifest without an option: agb-sync apply deploy.yaml",
  "--manifest": "name the manifest without an option: agb-sync apply deploy.yaml",
  "--api-key": "set AGB_API_KEY, in the environment or in .env",
  "--endpoint": "set AGB_ENDPOINT, in the environment or in .env",
  "--timeout": "set AGB_TIMEOUT_MS, in the environment or in .env",
  "--no-color": "use --color never, or set NO_COLOR",
  "--output": "use --json for machines",
  "--format": "use --json for machines",
};

const commands: Readonly<Record<string, string>> = {
  exec: "agb-sync run -- CMD runs a command in the workspace",
  test: "agb-sync run -- CMD runs a command in the workspace",
  completion: "completion is not there yet",
  push: "agb-sync apply brings the session into the declared state",
  sync: "agb-sync apply does it once, agb-sync watch goes on doing it",
  up: "agb-sync apply creates the session and fills it",
  deploy: "agb-sync apply brings the session into the declared state",
  mirror: "agb-sync watch mirrors local changes",
  down: "agb-sync session delete ID releases a session",
  destroy: "agb-sync session delete ID releases a session",
  delete: "agb-sync session delete ID releases a session",
  create: "agb-sync session create",
  list: "agb-sync session list, or agb-sync backups list",
  ls: "agb-sync session list",
  check: "agb-sync validate checks the manifest, agb-sync verify the session",
  lint: "agb-sync validate checks the manifest",
  undo: "agb-sync backups restore NAME brings back what was replaced or deleted",
  restore: "agb-sync backups restore NAME brings back what was replaced or deleted",
  rollback: "agb-sync backups restore NAME brings back what was replaced or deleted",
};

/** What to use instead of an option or a command that is not known; undefined when nobody can tell. */
export function pointerFor(word: string): string | undefined {
  const known = word.startsWith("-") ? options : commands;
  return Object.hasOwn(known, word) ? known[word] : undefined;
}
