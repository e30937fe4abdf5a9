import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { look } from "../helpers/look.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { type Documented, documentedService } from "./documented-service.ts";

const signal = new AbortController().signal;

/** Several at once for every run; all by themselves, and in steps too, for the exhaustive one. */
const together: readonly Documented[] = [
  { data: "string", keys: "body", failures: "HTTP 200", transfer: "upper" },
  { link: "string", toolList: "capital", shell: "B errorCode", transfer: "stale" },
  { link: "null", toolList: "array", shell: "C", content: "two", transfer: "refused" },
  { shell: "plain", content: "blob", transfer: "fails" },
  {
    shell: "none",
    move: "replaces",
    createExisting: "refuses",
    deleteMissing: "succeeds",
    missing: "not found",
    listing: "header",
    info: "capital booleans",
    transfer: "none",
  },
  {
    shell: "none",
    link: "object",
    move: "refuses without a reason",
    createExisting: "refuses without a reason",
    deleteMissing: "fails without a reason",
    missing: "does not exist",
    missingParent: "made",
    pastEnd: "error",
    listing: "final newline",
    base64: "wrapped",
    transfer: "refused",
  },
];

const withShell: readonly Documented[] = [
  {},
  { keys: "capital" },
  { keys: "body" },
  { data: "string" },
  { data: "string", keys: "body" },
  { failures: "HTTP 200" },
  { link: "string" },
  { link: "object", toolList: "array" },
  { link: "string", toolList: "capital" },
  { link: "string", toolList: "none" },
  { link: "null" },
  { shell: "B" },
  { shell: "B errorCode" },
  { shell: "C" },
  { shell: "plain" },
  { shell: "plain", link: "string" },
  { content: "two", shell: "plain" },
  { content: "blob" },
  { content: "string" },
  { transfer: "late" },
  { transfer: "stale" },
  { transfer: "upper" },
  { transfer: "silent" },
  { transfer: "none" },
  { transfer: "refused" },
  { transfer: "refused", failures: "HTTP 200" },
  { transfer: "fails" },
  { transfer: "down" },
  { transfer: "unanswered" },
];

const withoutShell: readonly Documented[] = [
  {},
  { link: "string" },
  { toolList: "none" },
  { keys: "body", data: "string" },
  { move: "replaces" },
  { move: "refuses without a reason" },
  { createExisting: "refuses" },
  { createExisting: "refuses without a reason" },
  { deleteMissing: "succeeds" },
  { deleteMissing: "fails without a reason" },
  { missingParent: "made" },
  { missing: "File not found" },
  { missing: "not found" },
  { missing: "does not exist" },
  { pastEnd: "error" },
  { listing: "reversed" },
  { listing: "blank before the tag" },
  { listing: "header" },
  { listing: "final newline" },
  { info: "with name and path" },
  { info: "capital booleans" },
  { base64: "wrapped" },
  { content: "two" },
  { transfer: "late" },
  { transfer: "none" },
  { transfer: "refused" },
  { transfer: "fails" },
];

type Row = { readonly name: string; readonly options: Documented; readonly strategy: "steps" | "batch" };
const plainInSteps: Row = { name: "plain results in steps", options: { shell: "plain" }, strategy: "steps" };
const alone = [...withShell, ...withoutShell.map((one): Documented => ({ ...one, shell: "none" }))].flatMap(
  (options) => {
    const name = JSON.stringify(options);
    const steps = { name: `${name} --strategy steps`, options, strategy: "steps" as const };
    return options.shell === "none" ? [steps] : [{ name, options, strategy: "batch" as const }, steps];
  },
);
const atOnce = together.map((options) => ({
  name: JSON.stringify(options),
  options,
  strategy: options.shell === "none" ? ("steps" as const) : ("batch" as const),
}));
const rows = triesAll ? [...atOnce, ...alone] : [...atOnce, plainInSteps];

describe("a service that answers as the reference says", () => {
  it.each(rows)("$name", { timeout: 60_000 }, async ({ options, strategy }) => {
    const service = await documentedService(options);
    const timeoutMs = options.transfer === "unanswered" ? "1500" : "60000";
    const session = await connect({
      env: { AGB_API_KEY: service.key, AGB_ENDPOINT: service.url, AGB_TIMEOUT_MS: timeoutMs },
      cwd: "/",
      spec: { image: "agb-code-space-1", labels: {} },
      signal,
    });
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const root = join(service.directory, "work");
    const hasModes = options.shell !== "none";
    const isText = options.shell === "none" && ["none", "refused", "fails"].includes(options.transfer ?? "");
    const bytes = Buffer.from(
      Array.from({ length: 250_000 }, (_, index) => (index * index * 7919 + (index >> 5) * 131) % 251),
    );
    const manifest = (more: string) =>
      parseManifest(`version: 1\nroot: ${root}\ntrees: [{ source: source, path: . }]\n${more}`, {
        file: "agb-sync.yaml",
        directory,
        env: {},
      });
    const applied = async (more = "") => {
      const report = await apply(manifest(more), session, { signal, strategy, allowMassDelete: true });
      expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
      const { plan } = await makePlan(manifest(more), session, { signal, strategy });
      expect(plan.steps).toEqual([]);
      return report;
    };
    // Without a shell a directory that is empty now stays.
    const seenIn = (place: string) =>
      Object.entries(look(place, { modes: hasModes })).filter(([, what]) => hasModes || what !== "directory");
    const seen = () => seenIn(root);
    const wanted = () => seenIn(source);

    const first = {
      "a b.txt": "one\n",
      empty: "",
      "sub/ä/deep": "x".repeat(120_000),
      "sub/gone": "x",
      "sub/not found session": "y",
    };
    layOut(source, isText ? first : { ...first, "bytes.bin": bytes });
    await applied();
    expect(seen()).toEqual(wanted());

    // An edit, a deletion, and a file that has moved.
    const second = {
      "a b.txt": "two\n",
      empty: "",
      "sub/new/moved": "x".repeat(120_000),
      "sub/not found session": "y",
    };
    layOut(source, isText ? second : { ...second, "bytes.bin": bytes.subarray(1) });
    await applied();
    expect(existsSync(join(root, "sub/gone"))).toBe(false);
    expect(seen()).toEqual(wanted());
    expect(readFileSync(join(root, "sub/new/moved"), "utf8")).toHaveLength(120_000);

    // Somebody else's bytes stay, until they may go; then they are in a backup.
    writeFileSync(join(root, "a b.txt"), "edited in the session\n");
    layOut(source, { ...second, "a b.txt": "three\n" });
    const report = await apply(manifest(""), session, { signal, strategy, allowMassDelete: true });
    expect(report.conflicts.map(({ path }) => path)).toEqual(["a b.txt"]);
    expect(readFileSync(join(root, "a b.txt"), "utf8")).toBe("edited in the session\n");
    await applied("onConflict: overwrite\n");
    expect(readFileSync(join(root, "a b.txt"), "utf8")).toBe("three\n");
    await session.close();
  });
});
