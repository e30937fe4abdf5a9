import { Command, Option } from "commander";
import type { Context } from "./context.ts";
import type { Output } from "./output.ts";

declare const AGB_SYNC_VERSION: string;

/** What a command's module exports; `Args` are what commander gives: positionals, then options. Ends with an exit code. */
type Action<Args extends readonly unknown[]> = (context: Context, ...args: Args) => Promise<number>;

/** What holds for every command: the options before it, and what it is called with. */
export type Invocation = {
  /** `session list` */
  readonly command: string;
  /** Results are wanted as JSON. */
  readonly json: boolean;
  readonly directory?: string;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly debug?: boolean;
  readonly color: "auto" | "always" | "never";
};

/** Carries one command out, once its module is loaded. */
export type Invoke = (
  invocation: Invocation,
  load: () => Promise<(context: Context) => Promise<number>>,
) => Promise<void>;

const JSON_HELP = "JSON for machines: one object a line, an error the last of them; a list of none has no line";

/** Every command with its options and help. Loads no command: help and mistakes need none. */
export function buildProgram(output: Output, invoke: Invoke): Command {
  const program = new Command("agb-sync")
    .description("Puts the workspace of an AGB cloud session into a declared state and keeps it there.")
    .version(AGB_SYNC_VERSION)
    .option("-C, --directory <dir>", "work as if started in this directory")
    .option("-q, --quiet", "print results and errors only")
    .option("-v, --verbose", "say what is done and what it costs")
    .option("--debug", "print stacks of errors")
    .addOption(new Option("--color <when>", "colours").choices(["auto", "always", "never"]).default("auto"))
    .showHelpAfterError("(agb-sync --help shows all commands)")
    .exitOverride()
    .configureOutput({ writeOut: (text) => output.write(text), writeErr: (text) => output.writeError(text) })
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      "after",
      "\nExamples:\n  agb-sync init\n  agb-sync apply --local\n  agb-sync plan --diff\n  agb-sync watch --session session-0a1b\n",
    );
  let called = { command: "", json: false };
  program.hook("preAction", (_program, command) => {
    called = { command: nameOf(command), json: command.opts<{ json?: boolean }>().json ?? false };
  });

  /** Loads a command's module only when it runs. */
  const lazily: Lazily =
    (load) =>
    async (...args) =>
      await invoke({ ...program.opts<Pick<Invocation, "color">>(), ...called }, async () => {
        const action = await load();
        return async (context) => await action(context, ...args);
      });
  const example = (command: Command, ...lines: readonly string[]) =>
    command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  agb-sync ${line}`).join("\n")}\n`);
  const add = (parent: Command, usage: string, description: string) =>
    parent.command(usage).description(description).exitOverride();

  example(
    add(program, "init", "write a commented manifest")
      .option("--from <dir>", "describe this directory instead")
      .option("--force", "replace an existing agb-sync.yaml")
      .action(lazily(async () => (await import("./commands/init.ts")).run)),
    "init",
    "init --from app",
  );
  example(
    add(program, "validate [manifest]", "check everything that can be checked without a session")
      .option("--json", JSON_HELP)
      .action(lazily(async () => (await import("./commands/validate.ts")).run)),
    "validate",
    "validate deploy/agb-sync.yaml",
  );
  example(
    planOptions(sessionOptions(add(program, "plan [manifest]", "show the steps that apply would take").alias("diff")))
      .option("--diff", "show text changes")
      .option("--out <file>", "save the plan, to be applied as it is: agb-sync apply FILE")
      .option("--exit-code", "exit 2 when there are changes, 1 when a source cannot be read")
      .action(lazily(async () => (await import("./commands/plan.ts")).run)),
    "plan",
    "plan --diff --exit-code",
    "plan --out plan.json",
    "plan - < agb-sync.yaml",
  );
  example(
    applyOptions(
      planOptions(sessionOptions(add(program, "apply [manifest]", "bring the session into the declared state"))),
    ).action(lazily(async () => (await import("./commands/apply.ts")).run)),
    "apply --local",
    "apply --session session-0a1b --on-conflict overwrite",
    "apply --json --yes",
    "apply plan.json",
  );
  example(
    applyOptions(
      planOptions(sessionOptions(add(program, "watch [manifest]", "apply, then mirror local changes until Ctrl-C"))),
    )
      .option("--debounce <time>", "quiet time before changes are applied", "50ms")
      .option("--rescan <time>", "compare everything this often; 0: never", "60s")
      .option("--poll [time]", "look at this interval instead of listening, as for network drives")
      .option("--once-ready-exit", "end after the first apply")
      .option("--renew", "create the session again when it has ended")
      .action(lazily(async () => (await import("./commands/watch.ts")).run)),
    "watch --local",
    "watch --renew --rescan 30s",
  );
  example(
    planOptions(
      sessionOptions(add(program, "status [manifest]", "show what changed in the session since the last apply")),
    ).action(lazily(async () => (await import("./commands/status.ts")).run)),
    "status --local",
  );
  example(
    planOptions(
      sessionOptions(
        add(program, "verify [manifest]", "hash everything again; exit 0 only when the session equals the manifest"),
      ),
    ).action(lazily(async () => (await import("./commands/verify.ts")).run)),
    "verify --local",
  );
  example(
    sessionOptions(add(program, "unlock [manifest]", "remove the lock that a dead apply left behind")).action(
      lazily(async () => (await import("./commands/unlock.ts")).run),
    ),
    "unlock --session session-0a1b",
  );
  const backups = add(program, "backups", "list and restore what was replaced or deleted");
  example(
    sessionOptions(add(backups, "list [manifest]", "list backups and the paths in them")).action(
      lazily(async () => (await import("./commands/backups.ts")).list),
    ),
    "backups list --local",
  );
  example(
    sessionOptions(add(backups, "restore <name> [paths...]", "bring a backup, or some of its paths, back"))
      .option("--manifest <file>", "the manifest, if it is not the nearest agb-sync.yaml")
      .action(lazily(async () => (await import("./commands/backups.ts")).restore)),
    "backups restore 20261124T120307Z-0a1b2c --local",
    "backups restore 20261124T120307Z-0a1b2c notes.md",
  );
  example(
    add(program, "schema", "print the JSON schema of manifests").action(
      lazily(async () => (await import("./commands/schema.ts")).run),
    ),
    "schema > manifest.schema.json",
  );
  addSession(program, add, example, lazily);
  example(
    add(program, "emulator", "an AGB-compatible server on loopback over a local directory")
      .option("--port <port>", "port; any free one if left out", "0")
      .option("--root <dir>", "where the sessions' files live; a temporary directory if left out")
      .option("--api-key <key>", "the key that clients must send")
      .option("--latency <time>", "added to every answer, such as 50ms")
      .option("--transfer-lag <time>", "until a file transfer has arrived, such as 300ms")
      .option("--fault <spec>", "faults to inject, such as 500:0.05,429,reset,timeout,slow")
      .option("--without <tools>", "tools and services to leave out, such as shell,file_transfer")
      .option("--link", "offer the link route to new sessions")
      .option("--behave <name=value...>", "choose what is not known of the service, such as move-onto-existing=replace")
      .action(lazily(async () => (await import("./commands/emulator.ts")).run)),
    "emulator --port 8080",
    "emulator --latency 50ms --fault 500:0.05,429",
    "emulator --behave umask=027 --behave clock-speed=60 --behave shell-failure=B",
  );
  return program;
}

/** `session list`, without the name of the program. */
function nameOf(command: Command): string {
  const above = command.parent === null || command.parent.parent === null ? "" : `${nameOf(command.parent)} `;
  return above + command.name();
}

type Adder = (parent: Command, usage: string, description: string) => Command;
type Example = (command: Command, ...lines: readonly string[]) => Command;
type Lazily = <Args extends readonly unknown[]>(load: () => Promise<Action<Args>>) => (...args: Args) => Promise<void>;

function addSession(program: Command, add: Adder, example: Example, lazily: Lazily): void {
  const session = add(program, "session", "create, list, delete and keep sessions alive");
  example(
    add(session, "create [manifest]", "create a session as the manifest asks, or reuse the live one of its name")
      .option("--image <image>", "image, instead of the manifest's")
      .option("--name <name>", "name, instead of the manifest's")
      .option("--json", JSON_HELP)
      .action(lazily(async () => (await import("./commands/session.ts")).create)),
    "session create",
    "session create --image agb-code-space-1 --name demo",
  );
  example(
    add(session, "list", "list live sessions")
      .option("--label <k=v...>", "only sessions with this label")
      .option("--json", JSON_HELP)
      .action(lazily(async () => (await import("./commands/session.ts")).list)),
    "session list --label team=evals",
  );
  example(
    add(session, "delete <id...>", "release sessions; their files are gone then")
      .option("--json", JSON_HELP)
      .action(lazily(async () => (await import("./commands/session.ts")).remove)),
    "session delete session-0a1b",
  );
  example(
    add(session, "keep-alive <id...>", "push the idle release of sessions away")
      .option("--json", JSON_HELP)
      .action(lazily(async () => (await import("./commands/session.ts")).keepAlive)),
    "session keep-alive session-0a1b",
  );
}

function sessionOptions(command: Command): Command {
  return command
    .option("--local [dir]", "an embedded session below this directory: no key, no network (default .agb-sync/local)")
    .option("--session <id>", "attach to this session")
    .option("--concurrency <n>", "requests at a time", "16")
    .option("--json", JSON_HELP);
}

function planOptions(command: Command): Command {
  return command
    .addOption(new Option("--strategy <how>", "how to work").choices(["auto", "steps", "batch"]).default("auto"))
    .addOption(
      new Option("--on-conflict <rule>", "what to do about bytes that agb-sync did not write").choices([
        "skip",
        "overwrite",
        "keep",
      ]),
    )
    .option("--no-detect-moves", "delete and write instead of moving")
    .option("--checksum", "believe no index: hash everything again");
}

function applyOptions(command: Command): Command {
  return command
    .option("-y, --yes", "do not ask")
    .option("--no-backup", "do not keep what is replaced or deleted")
    .option("--allow-mass-delete", "delete even if it is most of what is there")
    .option("--max-delete <n>", "stop when more would be deleted: 10 or 10%")
    .option("--lock-timeout <time>", "how long to wait for another apply", "10s");
}
