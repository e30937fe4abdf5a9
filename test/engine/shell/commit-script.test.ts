import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { reportAfter } from "../../../src/engine/shell/commit-script.ts";

it("answers for a commit that takes too long, inside the command that marks its end (S39)", () => {
  const script = `out=$( (
  ${reportAfter(0.1)}
  sleep 60 >/dev/null 2>&1 & p=$!
  trap 'kill $p' EXIT
  wait $p; kill $w; echo done
) )
printf '%s' "$out"`;
  expect(execFileSync("sh", ["-c", script], { encoding: "utf8", timeout: 20_000 })).toBe("running\nend");
});
