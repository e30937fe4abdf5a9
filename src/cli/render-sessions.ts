import type { ListedSession, SessionOrigin } from "../transport/agb/agb-sessions.ts";
import type { Line } from "./events.ts";

/** No session lives longer, whatever is done in it (protocol §4.4). */
const LONGEST_MS = 30 * 60_000;
const MINUTE_MS = 60_000;

/** A session with what its labels tell; what nobody tells is unknown, never guessed. */
type Listed = ListedSession & { readonly origin: SessionOrigin | undefined };

/** Id, status, name, image, age and the time that is left at most, in columns. None without sessions. */
export function renderSessions(sessions: readonly Listed[], nowMs: number): readonly string[] {
  const rows = sessions.map(({ sessionId, status, origin }) => [
    sessionId,
    status.toLowerCase() || "unknown",
    origin?.name ?? "unknown",
    origin?.image ?? "unknown",
    ...timesOf(origin?.createdMs, nowMs),
  ]);
  if (rows.length === 0) return [];
  const table = [["ID", "STATUS", "NAME", "IMAGE", "AGE", "TIME LEFT"], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** The same for machines. */
export function sessionLine({ sessionId, status, origin }: Listed): Line {
  const { createdMs } = origin ?? {};
  return {
    type: "session",
    sessionId,
    status,
    name: origin?.name ?? null,
    image: origin?.image ?? null,
    createdAt: createdMs === undefined ? null : new Date(createdMs).toISOString(),
    endsBy: createdMs === undefined ? null : new Date(createdMs + LONGEST_MS).toISOString(),
  };
}

/** Age and time left. A creation in the future comes from another clock, and says nothing. */
function timesOf(createdMs: number | undefined, nowMs: number): readonly [age: string, left: string] {
  if (createdMs === undefined || createdMs > nowMs + MINUTE_MS) return ["unknown", "unknown"];
  const ageMs = Math.max(0, nowMs - createdMs);
  const left = Math.max(0, Math.ceil((LONGEST_MS - ageMs) / MINUTE_MS));
  return [`${Math.floor(ageMs / MINUTE_MS)} min`, `${left} min or less`];
}
