/** What names stand for, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * One assignment, as the package dotenv has it since version 15: `export` before it, `:` instead of `=`, blanks and tabs
 * around both, quotes of three kinds that may span lines, a comment behind it.
 */
const assignment =
  /^[^\S\n]*(?:export[^\S\n]+)?([\w.-]+)(?:[^\S\n]*=[^\S\n]*|:[^\S\n]+)('(?:\\'|[^'])*'|"(?:\\"|[^"])*"|`(?:\\`|[^`])*`|[^#\n]*)?[^\S\n]*(?:#.*)?$/gm;

/** The assignments in the text of a `.env` file; the last one of a name counts, and what is none is passed over. */
export function parseDotEnv(text: string): Environment {
  // Without a prototype: `__proto__` is a name like any other.
  const values: Record<string, string> = Object.create(null);
  const lines = text.replace(/^\ufeff/, "").replaceAll(/\r\n?/g, "\n");
  for (const [, name = "", written = ""] of lines.matchAll(assignment)) values[name] = unquoted(written.trim());
  return values;
}

function unquoted(written: string): string {
  const quote = /^(['"`])([^]*)\1$/.exec(written);
  if (quote === null) return written;
  const [, mark, inner = ""] = quote;
  return mark === '"' ? inner.replaceAll("\\n", "\n").replaceAll("\\r", "\r") : inner;
}
