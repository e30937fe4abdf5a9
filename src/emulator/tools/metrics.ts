import { statfsSync } from "node:fs";
import { cpus, freemem, loadavg, totalmem } from "node:os";
import { answer, type ToolAnswer, type ToolCall } from "./tool-answer.ts";

/** get_metrics, with the keys that the SDKs read. Disk is the session's, in bytes; all else is this machine's. */
export function getMetrics({ session }: ToolCall): ToolAnswer {
  const { bsize, blocks, bavail } = statfsSync(session.tree);
  const count = Math.max(1, cpus().length);
  const [load = 0] = loadavg();
  return answer(
    JSON.stringify({
      cpu_count: count,
      cpu_used_pct: Math.min(100, Math.round((load / count) * 1000) / 10),
      disk_total: blocks * bsize,
      disk_used: (session.isDiskFull ? blocks : blocks - bavail) * bsize,
      mem_total: totalmem(),
      mem_used: totalmem() - freemem(),
      rx_rate_kbyte_per_s: 0,
      tx_rate_kbyte_per_s: 0,
      rx_used_kbyte: 0,
      tx_used_kbyte: 0,
      timestamp: new Date().toISOString(),
    }),
  );
}
