import { LARGEST_STATE_BYTES } from "../../state/state-file.ts";
import { shellProgram } from "../../transport/shell-program.ts";
import type { Digest } from "../../tree/digest.ts";
import type { FindWords } from "../find-records.ts";
import type { Dialect } from "./dialect.ts";
import scan from "./scan.sh.generated.js";

/** What the session is asked to look at. */
export type ScanScriptInput = {
  readonly dialect: Dialect;
  /** `gzip` is there to make the answer small. */
  readonly compresses: boolean;
  readonly root: string;
  readonly sessionId: string;
  /** `find` tests whose matches are neither listed nor entered. */
  readonly prunes: readonly FindWords[];
  /** The stored tree digest for which the answer `same` is enough. */
  readonly expected: Digest | undefined;
  /** `same` only when nothing unmanaged is there either. */
  readonly needsUnmanaged: boolean;
  /** Changed files are hashed at once when they are no more than this together. 0: never. */
  readonly hashUpToBytes: number;
  /** Believe no index. */
  readonly checksum: boolean;
};

/** A read-only command; `scan.sh` says what it answers. */
export function scanScript(input: ScanScriptInput): string {
  const { dialect, sessionId, root, expected } = input;
  const values = {
    ...dialect.values(input.prunes),
    ROOT: root,
    STATE_BYTES: LARGEST_STATE_BYTES,
    BASE_START: `${JSON.stringify({ version: 1, sessionId, root }).slice(0, -1)},`,
    DESIRED: expected === undefined ? "" : `"desired":"${expected}"`,
    EXACT: input.needsUnmanaged,
    CHECKSUM: input.checksum,
    HASH_BYTES: input.hashUpToBytes,
    ZIP: input.compresses,
  };
  return shellProgram(values, dialect.program, scan);
}
