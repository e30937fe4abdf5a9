import { parse } from "dotenv";

/** What names stand for, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The assignments in the text of a `.env` file; the last one of a name counts, and what is none is passed over. */
export function parseDotEnv(text: string): Environment {
  // Without a prototype: `constructor` is a name like any other.
  return Object.assign(Object.create(null), parse(text));
}
