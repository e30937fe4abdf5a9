import { expect, it, onTestFinished } from "vitest";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { callTool, createSession } from "./client.ts";

it("get_metrics tells of the disk in bytes", async () => {
  const emulator = await startEmulator({ missingTools: ["shell"] });
  onTestFinished(async () => await emulator.close());
  const sessionId = await createSession(emulator);
  const metrics = JSON.parse(await callTool(emulator, sessionId, "get_metrics", {}));
  expect(metrics).toMatchObject({ cpu_count: expect.any(Number), mem_total: expect.any(Number) });
  expect(metrics.disk_used).toBeLessThanOrEqual(metrics.disk_total);
  expect(metrics.disk_total).toBeGreaterThan(1_000_000);
});
