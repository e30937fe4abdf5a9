import type { ErrorCode, YAMLError } from "yaml";

/** What is wrong with the YAML of a manifest: from where to where in the text, and what to say. */
export type YamlFault = {
  readonly code: "YAML_SYNTAX" | "WRONG_TYPE" | "NOT_TEXT";
  readonly start: number;
  readonly end: number;
  readonly message: string;
  /** The message without any part of the text, for where the text must not be shown. */
  readonly unquoted?: string;
  readonly hint?: string;
};

const hints: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: "put the value in quotes if it is no alias",
  BAD_DQ_ESCAPE: "write \\\\ for a backslash, or use single quotes",
  BAD_INDENT: "indent it like the lines it belongs to",
  BAD_SCALAR_START: "put it in quotes",
  BLOCK_AS_IMPLICIT_KEY: "put it in quotes",
  DUPLICATE_KEY: "keep one of the two",
  MISSING_CHAR: "check the indentation, and that a space follows each colon and dash",
  MULTILINE_IMPLICIT_KEY: "indent the next line like the line of the key above it",
  TAB_AS_INDENT: "indent with spaces",
  TAG_RESOLVE_FAILED: "write the value without a tag; put it in quotes if it begins with !",
  UNEXPECTED_TOKEN: "remove it, or put the whole value in quotes",
};

/** For the codes whose messages repeat a part of the text. */
const unquoted: Partial<Record<ErrorCode, string>> = {
  BAD_COLLECTION_TYPE: "the tag does not fit the value",
  BAD_DIRECTIVE: "the directive is not known",
  BAD_DQ_ESCAPE: "invalid escape sequence",
  BAD_SCALAR_START: "a plain value cannot start with this character",
  TAG_RESOLVE_FAILED: "unresolved tag",
  UNEXPECTED_TOKEN: "unexpected text",
};

/** A fault as the YAML parser tells it, with what to write instead. */
export function yamlFault(error: YAMLError): YamlFault {
  const [start, end] = error.pos;
  const hint = hints[error.code];
  const plain = unquoted[error.code];
  const message = error.message.split("\n", 1)[0]?.replaceAll("tag:yaml.org,2002:", "!!") ?? "";
  return {
    code: "YAML_SYNTAX",
    start,
    end,
    message: message.charAt(0).toLowerCase() + message.slice(1),
    ...(plain === undefined ? {} : { unquoted: plain }),
    ...(hint === undefined ? {} : { hint }),
  };
}
