import { Command, Option } from "commander";
import { suggest } from "../../manifest/suggest.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodes, exitMeanings } from "../exit-code.ts";
import type { Output } from "../output.ts";
import { pointerFor } from "../pointers.ts";

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
  readonly envFiles?: readonly string[];
  /** `NAME=VALUE` */
  readonly vars?: readonly string[];
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly debug?: boolean;
  readonly color: "auto" | "always" | "never";
};

/** Options that are settled before a command runs. */
type Shared = { readonly json?: boolean; readonly envFile?: readonly string[]; readonly var?: readonly string[] };

/** Carries one command out, once its module is loaded. */
export type Invoke = (
  invocation: Invocation,
  load: () => Promise<(context: Context) => Promise<number>>,
) => Promise<void>;

type Lazily = <Args extends readonly unknown[]>(load: () => Promise<Action<Args>>) => (...args: Args) => Promise<void>;

const lockTimeout = ["--lock-timeout <time>", "how long to wait for another apply", "10s"] as const;
const JSON_HELP = "JSON for machines: one object a line, an error the last of them; a list of none has no line";

/** Every command with its options and help. Loads no command: help and mistakes need none. */
export function buildProgram(output: Output, invoke: Invoke, words: readonly string[] = []): Command {
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
    .configureOutput({
      writeOut: (text) => output.write(text),
      getOutHelpWidth: helpWidth,
      getErrHelpWidth: helpWidth,
      outputError: (text, write) => {
        const [, option = ""] = /^error: unknown option '([^'=]+)/.exec(text) ?? [];
        const pointer = pointerFor(option);
        // A guess by letters would only lead away from it.
        write(pointer === undefined ? text : `${text.split("\n", 1)[0]}\nhint: ${pointer}\n`);
      },
      writeErr: (text) => output.writeError(text.split("\n").map(printable).join("\n")),
    })
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 16 })
    .addHelpText(
      "after",
      `${examplesOf(["init", "apply --local", "plan --diff", "watch --local"])}${environmentHelp()}${exitCodeHelp()}`,
    );
  let called: Pick<Invocation, "command" | "json" | "envFiles" | "vars"> = { command: "", json: false };
  program.hook("preAction", (_program, command) => {
    const { json = false, envFile = [], var: vars = [] } = command.opts<Shared>();
    called = { command: nameOf(command), json, envFiles: envFile, vars };
  });
  /** Loads a command's module only when it runs. */
  const lazily: Lazily =
    (load) =>
    async (...args) =>
      await invoke({ ...program.opts<Pick<Invocation, "color">>(), ...called }, async () => {
        const action = await load();
        return async (context) => await action(context, ...args);
      });
  addManifestCommands(program, lazily);
  addWorkspaceCommands(program, lazily);
  addRun(program, lazily, words);
  addBackups(program, lazily);
  addSession(program, lazily);
  addEmulator(program, lazily);
  return program;
}

/** The words of the command that `run` is to run, which stand behind `--`, and what is left for agb-sync itself. */
export function apart(args: readonly string[]): { readonly own: readonly string[]; readonly words: readonly string[] } {
  const takesValue = ["-C", "--directory", "--color"];
  const command = args.find((word, index) => !word.startsWith("-") && !takesValue.includes(args[index - 1] ?? ""));
  const at = args.indexOf("--");
  return at < 0 || command !== "run" ? { own: args, words: [] } : { own: args.slice(0, at), words: args.slice(at + 1) };
}

/**
 * The error for the first word that names no command where one is due, in `foo --help` and `help foo` too, where commander
 * would show the help of something else. Nothing when every word does.
 */
export function refuseUnknownCommand(program: Command, args: readonly string[]): void {
  let parent: Command = program;
  for (const word of program.parseOptions([...args]).operands) {
    if (parent.commands.length === 0) return;
    if (word === "help") continue;
    const command = parent.commands.find((known) => namesOf(known).includes(word));
    if (command === undefined) {
      const near = suggest(word, parent.commands.flatMap(namesOf));
      const pointer = parent === program ? pointerFor(word) : undefined;
      const guess = near === undefined ? "" : `\n(Did you mean ${near}?)`;
      const hint = pointer === undefined ? guess : `\nhint: ${pointer}`;
      parent.error(`error: unknown command '${word}'${hint}`, { code: "commander.unknownCommand" });
    }
    parent = command;
  }
}

function addManifestCommands(program: Command, lazily: Lazily): void {
  add(program, "init", "write a commented manifest", ["init", "init --from app"])
    .option("--from <dir>", "describe this directory instead")
    .option("--force", "replace an existing agb-sync.yaml")
    .action(lazily(async () => (await import("../commands/init.ts")).run));
  const validate = ["validate", "validate deploy/agb-sync.yaml"];
  const checks = "check everything that can be checked without a session";
  names(add(program, "validate [manifest]", checks, validate))
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/validate.ts")).run));
  const lock = ["lock", "lock --check", "lock --update app/package.json"];
  names(add(program, "lock [manifest]", "pin digests and modes of everything declared in MANIFEST.lock", lock))
    .option("--check", "write nothing; exit 4 when the lock file is not what the sources are")
    .option("--update <path...>", "pin anew what is at and below these paths only")
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/lock.ts")).run));
  add(program, "schema", "print the JSON schema of manifests", ["schema > manifest.schema.json"]).action(
    lazily(async () => (await import("../commands/schema.ts")).run),
  );
}

function addWorkspaceCommands(program: Command, lazily: Lazily): void {
  const plan = ["plan", "plan --diff --exit-code", "plan --out plan.json", "plan - < agb-sync.yaml"];
  withOptions(
    add(program, "plan [manifest]", "show the steps that apply would take", plan),
    session,
    scan,
    rules,
    settlements,
    locked,
  )
    .alias("diff")
    .option("--diff", "show text changes and conflicts")
    .option("--out <file>", "save the plan, to be applied as it is: agb-sync apply FILE")
    .option("--exit-code", "exit 2 when there are changes, 1 when a source cannot be read")
    .action(lazily(async () => (await import("../commands/plan.ts")).run));
  const apply = [
    "apply --local",
    "apply --on-conflict overwrite",
    "apply --overwrite hello.txt --keep notes.md",
    "apply --json --yes",
    "apply plan.json",
  ];
  withOptions(
    add(program, "apply [manifest]", "bring the session into the declared state", apply),
    session,
    scan,
    rules,
    settlements,
    changes,
    locked,
  )
    .option("--dry-run", "show the plan and change nothing, as agb-sync plan does")
    .option("--run <name>", "run this command too, due or not; may be repeated", gather)
    .option("--no-run", "leave the commands of run: for the next apply")
    .action(lazily(async () => (await import("../commands/apply.ts")).run));
  const watch = ["watch --local", "watch --renew --rescan 30s"];
  withOptions(
    add(program, "watch [manifest]", "apply, then mirror local changes until Ctrl-C", watch),
    session,
    scan,
    rules,
    changes,
  )
    .option("--debounce <time>", "quiet time before changes are applied", "50ms")
    .option("--rescan <time>", "compare everything this often; 0: never", "60s")
    .option("--poll [time]", "look at this interval instead of listening, as for network drives")
    .option("--once-ready-exit", "end after the first apply")
    .option("--renew", "create the session again when it has ended")
    .action(lazily(async () => (await import("../commands/watch.ts")).run));
  withOptions(
    add(program, "status [manifest]", "show what changed in the session since the last apply", ["status --local"]),
    session,
    scan,
  ).action(lazily(async () => (await import("../commands/status.ts")).run));
  const what = "hash everything again; exit 0 only when the session equals the manifest";
  withOptions(
    add(program, "verify [manifest]", what, ["verify --local", "verify --against sha256:9f86d0...0a08"]),
    session,
  )
    .addOption(strategy())
    .option("--against <digest>", "exit 2 unless this is the digest of what is there, and nothing else is")
    .option("--allow-kept", "be content with what was kept as the session has it")
    .action(lazily(async () => (await import("../commands/verify.ts")).run));
  const pull = ["pull", "pull --changed --dry-run", "pull results report.xml --to out"];
  withOptions(
    add(program, "pull [paths...]", "bring back what pull: of the manifest, or PATHS with --to, name", pull),
    session,
  )
    .addOption(strategy())
    .option("--to <dir>", "bring these paths below root back into this directory")
    .option("--manifest <file>", "the manifest, if it is not the nearest agb-sync.yaml")
    .option("--exclude <pattern...>", "with --to: leave these out, patterns as in a .gitignore file")
    .option("--changed", "only what the session made or changed since the last apply")
    .option("--dry-run", "show what would be done and write nothing")
    .option("--force", "replace also what changed here since the last pull")
    .action(lazily(async () => (await import("../commands/pull.ts")).run));
  withOptions(
    add(program, "unlock [manifest]", "remove the lock that a dead apply left behind", [
      "unlock --session session-0a1b",
    ]),
    session,
  ).action(lazily(async () => (await import("../commands/unlock.ts")).run));
}

function addRun(program: Command, lazily: Lazily, words: readonly string[]): void {
  const examples = ["run -- npm test", "run --timeout 10m --cwd app -- pytest -q", "run --keep -- ./train.sh"];
  const what = "apply, run a command with live output, release the session; exits as the command does";
  withOptions(add(program, "run [manifest]", what, examples), session, scan, rules, changes)
    .usage("[manifest] [options] -- CMD [words...]")
    .option("--cwd <dir>", "run it in this directory, relative to root")
    .option("--env <name=value>", "set a variable for it; may be repeated", gather)
    .option("--timeout <time>", "end it when it takes longer, with exit 124")
    .option("--keep", "keep a session that was created for it")
    .option("--rm", "release a session that was there before, too")
    .option("--no-input", "ask nothing; run never does")
    .action(
      lazily(async () => {
        const { run } = await import("../commands/run.ts");
        return async (context: Context, manifest?: string, options?: Parameters<typeof run>[3]) =>
          await run(context, words, manifest, options);
      }),
    );
}

function addBackups(program: Command, lazily: Lazily): void {
  const backups = add(program, "backups", "list and restore what was replaced or deleted", ["backups list --local"]);
  const manifest = ["--manifest <file>", "the manifest, if it is not the nearest agb-sync.yaml"] as const;
  withOptions(add(backups, "list [manifest]", "list backups and the paths in them", ["backups list --local"]), session)
    .option(...manifest)
    .action(lazily(async () => (await import("../commands/backups.ts")).list));
  const name = "20261124T120307Z-0a1b2c";
  const restore = [`backups restore ${name} --local`, `backups restore ${name} notes.md`];
  withOptions(add(backups, "restore <name> [paths...]", "bring a backup, or some of its paths, back", restore), session)
    .option(...manifest)
    .option(...lockTimeout)
    .action(lazily(async () => (await import("../commands/backups.ts")).restore));
}

function addSession(program: Command, lazily: Lazily): void {
  const sessions = add(program, "session", "create, list, delete and keep sessions alive", ["session list"]);
  const create = ["session create", "session create --name demo"];
  names(
    add(
      sessions,
      "create [manifest]",
      "create a session as the manifest asks, or reuse the live one of its name",
      create,
    ),
  )
    .option("--image <image>", "image, instead of the manifest's")
    .option("--name <name>", "name, instead of the manifest's")
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/session.ts")).create));
  envFile(add(sessions, "list", "list live sessions", ["session list --label team=evals"]))
    .option("--label <k=v...>", "only sessions with this label")
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/session.ts")).list));
  envFile(
    add(sessions, "delete <id...>", "release sessions, by id or name; their files are gone then", [
      "session delete session-0a1b",
    ]),
  )
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/session.ts")).remove));
  envFile(
    add(sessions, "keep-alive <id...>", "push the idle release of sessions away, by id or name", [
      "session keep-alive session-0a1b",
    ]),
  )
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/session.ts")).keepAlive));
  const prune = "release sessions that killed clients of agb-sync run left behind, and no others";
  envFile(add(sessions, "prune", prune, ["session prune --yes", "session prune --older-than 10m"]))
    .option("--older-than <time>", "of clients on other machines: those that were made so long ago", "1h")
    .option("-y, --yes", "do not ask")
    .option("--json", JSON_HELP)
    .action(lazily(async () => (await import("../commands/session-prune.ts")).prune));
}

function addEmulator(program: Command, lazily: Lazily): void {
  const examples = [
    "emulator --port 8080",
    "emulator --latency 50ms --fault 500:0.05,429",
    "emulator --behave umask=027 clock-speed=60",
  ];
  add(program, "emulator", "an AGB-compatible server on loopback over a local directory", examples)
    .option("--port <port>", "port; any free one if left out", "0")
    .option("--host <address>", "address to listen on, 127.0.0.1 if left out; any other lets the network in")
    .option("--allow-origin <origin...>", "web pages that may use it, such as http://localhost:3000; none if left out")
    .option("--root <dir>", "where the sessions' files live; a temporary directory if left out")
    .option("--api-key <key>", "the key that clients must send; a new one at each start if left out")
    .option("--latency <time>", "added to every answer, such as 50ms")
    .option("--transfer-lag <time>", "until a file transfer has arrived, such as 300ms")
    .option("--fault <spec>", "faults to inject, such as 500:0.05,429,reset")
    .option("--without <tools>", "tools and services to leave out, such as shell,file_transfer")
    .option("--link", "offer the link route to new sessions")
    .option("--behave <name=value...>", "choose what is not known of the service, such as move-onto-existing=replace")
    .action(lazily(async () => (await import("../commands/emulator.ts")).run));
}

/** A command whose usage errors point to its own help, which ends with examples. */
function add(parent: Command, usage: string, description: string, examples: readonly string[]): Command {
  const command = parent.command(usage).description(description).addHelpText("after", examplesOf(examples));
  return command.showHelpAfterError(`(agb-sync ${nameOf(command)} --help shows how it is used)`);
}

function withOptions(command: Command, ...groups: readonly ((command: Command) => Command)[]): Command {
  return groups.reduce((extended, group) => group(extended), command);
}

function session(command: Command): Command {
  return names(command)
    .option("--local [dir]", "an embedded session below this directory: no key, no network (default .agb-sync/local)")
    .option("--session <id>", "attach to this session")
    .option("--concurrency <n>", "requests at a time", "16")
    .option("--json", JSON_HELP);
}

/** Where `${…}` in a manifest finds its names. */
function names(command: Command): Command {
  return envFile(command).option("--var <name=value>", "a value for ${vars.NAME}; wins over the manifest's", gather);
}

function envFile(command: Command): Command {
  const what = "NAME=value lines; seen after the environment, before the nearest .env";
  return command.option("--env-file <file>", what, gather);
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function strategy(): Option {
  return new Option("--strategy <how>", "how to work").choices(["auto", "steps", "batch"]).default("auto");
}

function scan(command: Command): Command {
  return command.addOption(strategy()).option("--checksum", "believe no index: hash everything again");
}

function rules(command: Command): Command {
  const conflicts = new Option("--on-conflict <rule>", "what to do about bytes that agb-sync did not write");
  return command
    .addOption(conflicts.choices(["skip", "overwrite", "keep"]))
    .option("--no-detect-moves", "delete and write instead of moving");
}

function settlements(command: Command): Command {
  return command
    .option("--overwrite <path...>", "settle conflicts at and below these paths: the session's bytes go to a backup")
    .option("--keep <path...>", "settle conflicts at and below these paths: the session's bytes stay");
}

function locked(command: Command): Command {
  return command
    .option("--locked", "refuse what the lock file does not pin; implied by CI=true where there is one")
    .option("--no-locked", "whatever the lock file says");
}

function changes(command: Command): Command {
  return command
    .option("-y, --yes", "do not ask")
    .option("--no-backup", "do not keep what is replaced or deleted")
    .option("--allow-mass-delete", "delete even if it is most of what is there")
    .option("--max-delete <n>", "stop when more would be deleted: 10 or 10%")
    .option(...lockTimeout);
}

/** `session list`, without the name of the program. */
function nameOf(command: Command): string {
  const above = command.parent === null || command.parent.parent === null ? "" : `${nameOf(command.parent)} `;
  return above + command.name();
}

function namesOf(command: Command): readonly string[] {
  return [command.name(), ...command.aliases()];
}

function examplesOf(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  agb-sync ${line}`).join("\n")}\n`;
}

/** Where there is no terminal COLUMNS may say how wide the text is to be. */
function helpWidth(): number {
  const wished = process.stdout.isTTY ? process.stdout.columns : Number(process.env["COLUMNS"]);
  return Number.isSafeInteger(wished) && wished >= 40 ? wished : 80;
}

/** Pairs in two columns, the second broken between words. */
function inColumns(pairs: readonly (readonly [string, string])[]): string {
  const indent = 2 + Math.max(...pairs.map(([term]) => term.length)) + 2;
  const rows = pairs.map(([term, text]) => {
    const lines = [`  ${term}`.padEnd(indent)];
    for (const word of text.split(" ")) {
      const line = lines.at(-1) ?? "";
      if (line.length > indent && line.length + word.length >= helpWidth()) lines.push(" ".repeat(indent) + word);
      else lines[lines.length - 1] = line.length > indent ? `${line} ${word}` : line + word;
    }
    return lines.join("\n");
  });
  return rows.join("\n");
}

function environmentHelp(): string {
  const variables = [
    ["AGB_API_KEY", "key of the service; none is needed with --local"],
    ["AGB_ENDPOINT", "another server, such as the emulator's URL"],
    ["AGB_TIMEOUT_MS", "how long one request may take (60000)"],
  ] as const;
  return `\nEnvironment, or the nearest .env:\n${inColumns(variables)}\n`;
}

function exitCodeHelp(): string {
  const meanings = Object.values(exitCodes).map((code) => [String(code), exitMeanings[code]] as const);
  return `\nExit codes:\n${inColumns(meanings)}\n`;
}
