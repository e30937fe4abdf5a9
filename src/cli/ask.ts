import type { Context } from "./context.ts";

/**
 * What the person at the terminal chose, by a word of `choices` or the beginning of one; nothing but Enter means
 * `otherwise`, and anything else is asked again. Undefined at the end of the input (Ctrl-D); Ctrl-C ends the command.
 */
export async function ask<Choice extends string>(
  context: Context,
  question: string,
  choices: readonly Choice[],
  otherwise: Choice,
): Promise<Choice | undefined> {
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.once("SIGINT", () => context.interrupt());
  // A question that is closed is never answered.
  const ended = new Promise<undefined>((resolve) => terminal.once("close", () => resolve(undefined)));
  try {
    for (;;) {
      const answer = await Promise.race([terminal.question(question, { signal: context.signal }), ended]);
      if (answer === undefined) {
        context.console.say("");
        return undefined;
      }
      const word = answer.trim().toLowerCase();
      const chosen = word === "" ? otherwise : choices.find((choice) => choice.startsWith(word));
      if (chosen !== undefined) return chosen;
    }
  } finally {
    terminal.close();
  }
}
