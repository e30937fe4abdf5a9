// Makes dist/index.d.ts, the types of the library in one file: the compiler writes one for each of our files, the extractor
// joins what can be reached from the entry. What users do not import stays out of sight, and out of what may not change.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

// Inside the project, so that the types of our dependencies are found from there.
const directory = mkdtempSync(resolve(".types-"));
try {
  const compiler = resolve("node_modules/typescript/bin/tsc");
  const args = [compiler, "--project", "tsconfig.build.json", "--outDir", directory];
  execFileSync(process.execPath, args, { stdio: "inherit" });
  const configObject = {
    projectFolder: resolve("."),
    mainEntryPointFilePath: join(directory, "index.d.ts"),
    compiler: {
      overrideTsconfig: {
        compilerOptions: { target: "es2023", module: "nodenext", moduleResolution: "nodenext", types: ["node"] },
        files: [join(directory, "index.d.ts")],
      },
    },
    apiReport: { enabled: false },
    docModel: { enabled: false },
    tsdocMetadata: { enabled: false },
    dtsRollup: { enabled: true, untrimmedFilePath: resolve("dist/index.d.ts") },
    messages: {
      extractorMessageReporting: { default: { logLevel: "none" } },
      tsdocMessageReporting: { default: { logLevel: "none" } },
    },
  };
  const packageJsonFullPath = resolve("package.json");
  const extractorConfig = ExtractorConfig.prepare({
    configObject,
    configObjectFullPath: undefined,
    packageJsonFullPath,
  });
  const report = (message) => {
    // Which compilers it is made for is no news; everything else that is not silenced above is a fault.
    if (["error", "warning"].includes(message.logLevel) === false) message.handled = true;
  };
  const result = Extractor.invoke(extractorConfig, { localBuild: true, messageCallback: report });
  if (!result.succeeded || !existsSync("dist/index.d.ts")) throw new Error("the types could not be joined");
} finally {
  rmSync(directory, { recursive: true, force: true });
}
