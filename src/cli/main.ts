import { resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command, CommanderError, Option } from "commander";
import { Context } from "./context.ts";
import { exitCodeOf, exitCodes } from "./exit-code.ts";

declare const AGB_SYNC_VERSION: string;

/** What a command's module exports; `Args` are what commander gives: positionals, then options. Ends with an exit code. */
type Action<Args extends readonly unknown[]> = (context: Context, ...args: Args) => Promise<number>;

/** Runs one command line and sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  const context = new Context(process.env, process.cwd());
  try {
    process.exitCode = await run(args, context);
  } catch (error) {
    const isInterrupted = context.interruptCode !== undefined;
    if (!isInterrupted) context.console.fail(error);
    else context.console.say("interrupted; what was applied so far is recorded, apply again to finish");
    process.exitCode = context.interruptCode ?? exitCodeOf(error);
  }
}

async function run(args: readonly string[], context: Context): Promise<number> {
  let code = 0;
  const program = buildProgram(context, (exitCode) => (code = exitCode));
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already printed help, version or the mistake.
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  return code;
}

function buildProgram(context: Context, finish: (code: number) => void): Command {
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
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      "after",
      "\nExamples:\n  agb-sync init\n  agb-sync apply --local\n  agb-sync plan --diff\n  agb-sync watch --session session-0a1b\n",
    );
  program.hook("preAction", (command) => {
    const options = command.opts<{
      directory?: string;
      quiet?: boolean;
      verbose?: boolean;
      debug?: boolean;
      color: "auto" | "always" | "never";
    }>();
    if (options.directory !== undefined) context.cwd = resolve(context.cwd, options.directory);
    context.console.isQuiet = options.quiet ?? false;
    context.console.isVerbose = options.verbose ?? false;
    context.console.isDebug = options.debug ?? false;
    context.console.color = options.color;
    spareTheOptimizer();
  });

  /** Loads a command's module only when it runs. */
  const lazily: Lazily =
    (load) =>
    async (...args) => {
      const { run: action } = await load();
      finish(await action(context, ...args));
    };
  const example = (command: Command, ...lines: readonly string[]) =>
    command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  agb-sync ${line}`).join("\n")}\n`);
  const add = (parent: Command, usage: string, description: string) =>
    parent.command(usage).description(description).exitOverride();

  example(
    add(program, "init", "write a commented manifest")
      .option("--from <dir>", "describe this directory instead")
      .option("--force", "replace an existing agb-sync.yaml")
      .action(lazily(() => import("./commands/init.ts"))),
    "init",
    "init --from app",
  );
  example(
    add(program, "validate [manifest]", "check everything that can be checked without a session").action(
      lazily(() => import("./commands/validate.ts")),
    ),
    "validate",
    "validate deploy/agb-sync.yaml",
  );
  example(
    planOptions(sessionOptions(add(program, "plan [manifest]", "show the steps that apply would take").alias("diff")))
      .option("--diff", "show text changes")
      .option("--out <file>", "save the plan, to be applied as it is: agb-sync apply FILE")
      .option("--exit-code", "exit 2 when there are changes")
      .action(lazily(() => import("./commands/plan.ts"))),
    "plan",
    "plan --diff --exit-code",
    "plan --out plan.json",
    "plan - < agb-sync.yaml",
  );
  example(
    applyOptions(
      planOptions(sessionOptions(add(program, "apply [manifest]", "bring the session into the declared state"))),
    ).action(lazily(() => import("./commands/apply.ts"))),
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
      .action(lazily(() => import("./commands/watch.ts"))),
    "watch --local",
    "watch --renew --rescan 30s",
  );
  example(
    planOptions(
      sessionOptions(add(program, "status [manifest]", "show what changed in the session since the last apply")),
    ).action(lazily(() => import("./commands/status.ts"))),
    "status --local",
  );
  example(
    planOptions(
      sessionOptions(
        add(program, "verify [manifest]", "hash everything again; exit 0 only when the session equals the manifest"),
      ),
    ).action(lazily(() => import("./commands/verify.ts"))),
    "verify --local",
  );
  example(
    sessionOptions(add(program, "unlock [manifest]", "remove the lock that a dead apply left behind")).action(
      lazily(() => import("./commands/unlock.ts")),
    ),
    "unlock --session session-0a1b",
  );
  const backups = add(program, "backups", "list and restore what was replaced or deleted");
  example(
    sessionOptions(add(backups, "list [manifest]", "list backups and the paths in them")).action(
      lazily(async () => ({ run: (await import("./commands/backups.ts")).list })),
    ),
    "backups list --local",
  );
  example(
    sessionOptions(add(backups, "restore <name> [paths...]", "bring a backup, or some of its paths, back"))
      .option("--manifest <file>", "the manifest, if it is not the nearest agb-sync.yaml")
      .action(lazily(async () => ({ run: (await import("./commands/backups.ts")).restore }))),
    "backups restore 20261124T120307Z-0a1b2c --local",
    "backups restore 20261124T120307Z-0a1b2c notes.md",
  );
  example(
    add(program, "schema", "print the JSON schema of manifests").action(lazily(() => import("./commands/schema.ts"))),
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
      .action(lazily(() => import("./commands/emulator.ts"))),
    "emulator --port 8080",
    "emulator --latency 50ms --fault 500:0.05,429",
    "emulator --behave umask=027 --behave clock-speed=60 --behave shell-failure=B",
  );
  return program;
}

/**
 * Before version 22 Node optimizes undici's HTTP parser, one function of WebAssembly, at the first answer: 80 ms of a core
 * which the end of the process waits for, for a parser that is fast enough as it is.
 */
function spareTheOptimizer(): void {
  if (Number.parseInt(process.versions.node, 10) < 22) setFlagsFromString("--wasm-tiering-budget=180000000");
}

type Adder = (parent: Command, usage: string, description: string) => Command;
type Example = (command: Command, ...lines: readonly string[]) => Command;
type Lazily = <Args extends readonly unknown[]>(
  load: () => Promise<{ readonly run: Action<Args> }>,
) => (...args: Args) => Promise<void>;

function addSession(program: Command, add: Adder, example: Example, lazily: Lazily): void {
  const session = add(program, "session", "create, list, delete and keep sessions alive");
  example(
    add(session, "create [manifest]", "create a session as the manifest asks, or reuse the live one of its name")
      .option("--image <image>", "image, instead of the manifest's")
      .option("--name <name>", "name, instead of the manifest's")
      .option("--json", "print JSON")
      .action(lazily(async () => ({ run: (await import("./commands/session.ts")).create }))),
    "session create",
    "session create --image agb-code-space-1 --name demo",
  );
  example(
    add(session, "list", "list live sessions")
      .option("--label <k=v...>", "only sessions with this label")
      .option("--json", "print JSON")
      .action(lazily(async () => ({ run: (await import("./commands/session.ts")).list }))),
    "session list --label team=evals",
  );
  example(
    add(session, "delete <id...>", "release sessions; their files are gone then").action(
      lazily(async () => ({ run: (await import("./commands/session.ts")).remove })),
    ),
    "session delete session-0a1b",
  );
  example(
    add(session, "keep-alive <id...>", "push the idle release of sessions away").action(
      lazily(async () => ({ run: (await import("./commands/session.ts")).keepAlive })),
    ),
    "session keep-alive session-0a1b",
  );
}

function sessionOptions(command: Command): Command {
  return command
    .option("--local [dir]", "an embedded session below this directory: no key, no network (default .agb-sync/local)")
    .option("--session <id>", "attach to this session")
    .option("--concurrency <n>", "requests at a time", "16")
    .option("--json", "JSON for machines: one object a line");
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
