import { dirname, posix } from "node:path";
import { KEPT_BACKUPS } from "../../state/backup-names.ts";
import { TICKET_BYTES } from "../../state/lock.ts";
import { STEPS_STAGE } from "../../state/stage.ts";
import { ASIDE_MARK, LARGEST_STATE_BYTES } from "../../state/state-file.ts";
import { type ProgramValues, shellProgram } from "../../transport/shell-program.ts";
import clearStageProgram from "./clear-stage.sh.generated.js";
import commit from "./commit.sh.generated.js";
import commitBackups from "./commit-backups.sh.generated.js";
import commitFresh from "./commit-fresh.sh.generated.js";
import commitFunctions from "./commit-functions.sh.generated.js";
import commitInPlace from "./commit-in-place.sh.generated.js";
import type { Dialect } from "./dialect.ts";
import enterStageProgram from "./enter-stage.sh.generated.js";
import startCommit from "./start-commit.sh.generated.js";
import stopCommit from "./stop-commit.sh.generated.js";

/** How the archive reaches the script. */
export type Delivery =
  | { readonly kind: "inline"; readonly base64: string }
  /** Base64 text in `part-*` files of the stage. */
  | { readonly kind: "parts" }
  | { readonly kind: "upload"; readonly path: string; readonly sizeBytes: number };

/** Which commit is meant, and where it works. */
export type CommitPlace = {
  readonly root: string;
  readonly applyId: string;
  /** The root is not there: it is built beside its place and goes live by one rename (S4). */
  readonly isFresh: boolean;
};

export type CommitScriptInput = CommitPlace & {
  readonly dialect: Dialect;
  /** The archive is compressed by gzip. */
  readonly isCompressed: boolean;
  readonly delivery: Delivery;
  readonly archiveSha256: string;
  /** What `hash_of` gives for the staged files, in path order; "" when there are none. */
  readonly stagedSha256: string;
  /** The same over the list `pre`: the staged files, and those that must be as the plan saw them. */
  readonly preSha256: string;
  /** The same over the list `checked`: what the writes and moves put into place, and what they set aside for it. */
  readonly checkedSha256: string;
  /** The same over the list `removed`: what the deletions set aside. */
  readonly removedSha256: string;
  /** The same over the list `adopted`: files that base learns of without a step. */
  readonly adoptedSha256: string;
  readonly baseGeneration: number;
  /** First bytes of a base of this session and root, to tell it from a foreign one. */
  readonly baseStart: string;
  /** SHA-256 of a stored base that cannot be used and is to be set aside; "" for none. */
  readonly unusableBaseSha256: string;
  /** First line of the new base, and how many lines follow it. */
  readonly baseHeader: string;
  readonly baseCount: number;
  /** The lock's ticket up to the time that it counts until, which the session's clock adds. */
  readonly ticketStart: string;
  /** What a backup's name begins with; its number, which orders backups, is the session's. */
  readonly backupTime: string;
};

/** How long one command waits for the report of the work. In seconds. */
const REPORT_S = 42;
/** How long a ticket counts, and how often the work renews it. In seconds. */
const TICKET_S = 60;
const RENEW_S = 5;

/** Where a commit keeps what it works with. */
export function stageOf({ root, applyId, isFresh }: CommitPlace): string {
  return isFresh
    ? posix.join(dirname(root), `.${posix.basename(root)}.agb-sync-${applyId}`)
    : posix.join(root, ".agb-sync/stage", applyId);
}

/** Makes the stage of a commit safely; safe to repeat (enter-stage.sh). */
export function enterStage(place: CommitPlace): string {
  return shellProgram(stageValues(place), enterStageProgram, "enter_stage\n");
}

/** The command of a commit, safe to repeat: start-commit.sh says what it answers. `reportS`: for at most so long. */
export function commitCommand(input: CommitScriptInput, reportS = REPORT_S): string {
  return startCommand(input, commitProgram(input), reportS);
}

/** The same for any work that reports as a commit does. */
export function startCommand(place: CommitPlace, script: string, reportS: number): string {
  const values = { ...stageValues(place), LIVE: liveReport(place), SCRIPT: script, REPORT_S: reportS };
  return shellProgram(values, enterStageProgram, startCommit);
}

/** Asks a commit to begin no further step and prints its report (stop-commit.sh). */
export function stopCommand(place: CommitPlace): string {
  return shellProgram({ STAGE: stageOf(place), LIVE: liveReport(place) }, stopCommit);
}

/** Removes what was sent for a commit, with its upload where that is (clear-stage.sh). */
export function clearCommand(place: CommitPlace, upload: string | undefined): string {
  const values = { STAGE: stageOf(place), UPLOAD: upload === undefined ? "" : posix.dirname(upload) };
  return shellProgram(values, clearStageProgram);
}

/** Where the report of a commit is once it is done. */
function liveReport({ root, applyId }: CommitPlace): string {
  return posix.join(root, ".agb-sync/stage", applyId, "report");
}

function stageValues(place: CommitPlace): ProgramValues {
  const top = place.isFresh ? dirname(place.root) : place.root;
  const below = posix.relative(top, stageOf(place));
  return { ROOT: place.root, TOP: top, BELOW: below, FRESH: place.isFresh, ASIDE_MARK };
}

/** The work itself, which a shell of its own carries out in the stage. */
function commitProgram(input: CommitScriptInput): string {
  const { dialect, isFresh, delivery } = input;
  const values = {
    ...dialect.values([]),
    ASIDE_MARK,
    APPLY_ID: input.applyId,
    DELIVERY: delivery.kind,
    ...(delivery.kind === "inline" ? { ARCHIVE64: delivery.base64 } : {}),
    ...(delivery.kind === "upload" ? { UPLOAD: delivery.path, UPLOAD_BYTES: delivery.sizeBytes } : {}),
    ARCHIVE_SHA: input.archiveSha256,
    ZIP: input.isCompressed,
    STAGED_SHA: input.stagedSha256,
  };
  return isFresh
    ? shellProgram(
        { ...values, PLACE: posix.basename(input.root) },
        dialect.program,
        commitFunctions,
        commit,
        commitFresh,
      )
    : shellProgram(
        { ...values, ...inPlaceValues(input) },
        dialect.program,
        commitFunctions,
        commitBackups,
        commit,
        commitInPlace,
      );
}

function inPlaceValues(input: CommitScriptInput): ProgramValues {
  return {
    BACKUP_TIME: input.backupTime,
    KEPT_BACKUPS,
    GENERATION: input.baseGeneration,
    BASE_START: input.baseStart,
    BASE_HEADER: input.baseHeader,
    BASE_COUNT: input.baseCount,
    UNUSABLE_SHA: input.unusableBaseSha256,
    PRE_SHA: input.preSha256,
    CHECKED_SHA: input.checkedSha256,
    REMOVED_SHA: input.removedSha256,
    ADOPTED_SHA: input.adoptedSha256,
    TICKET: input.ticketStart,
    TICKET_S,
    RENEW_S,
    TICKET_BYTES,
    STATE_BYTES: LARGEST_STATE_BYTES,
    STEPS_STAGE,
  };
}
