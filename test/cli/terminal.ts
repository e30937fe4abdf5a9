import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { cliPath } from "../helpers/cli.ts";

/** Runs a program on a terminal of its own and types an answer whenever the next question is seen. */
const typist = `
import json, os, pty, re, sys
talk = json.loads(sys.argv[1])
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said = b""
seen = 0
while True:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    said += chunk
    while talk and (found := re.search(talk[0][0].encode(), said[seen:])):
        seen += found.end()
        os.write(terminal, talk.pop(0)[1].encode())
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
print(json.dumps({"code": status, "raw": said.decode("utf8", "replace").replace("\\r\\n", "\\n"), "unasked": talk}))
`;

/** Terminals are made by Python; where it is missing the tests are skipped. */
export const hasTerminal = spawnSync("python3", ["-c", "import pty"]).status === 0;

export const keys = { enter: "\r", ctrlC: "\u0003", ctrlD: "\u0004" } as const;

type Conversation = {
  readonly code: number;
  /** Everything that was shown, without the codes that move the cursor. */
  readonly said: string;
  /** The same with them. */
  readonly raw: string;
  /** What was waited for in vain. */
  readonly unasked: readonly unknown[];
};

/** The command line on a terminal; `talk` pairs what is waited for (a pattern) with the keys that are pressed then. */
export async function converse(
  args: readonly string[],
  cwd: string,
  talk: readonly (readonly [pattern: string, answer: string])[],
  env: Readonly<Record<string, string>> = {},
): Promise<Conversation> {
  const child = spawn("python3", ["-c", typist, JSON.stringify(talk), process.execPath, cliPath, ...args], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", HOME: cwd, NO_COLOR: "1", TERM: "xterm", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
  const { code, raw, unasked } = JSON.parse(output);
  return { code, raw, said: raw.replaceAll(/\u001b\[[\d;]*[A-Za-z]/g, ""), unasked };
}
