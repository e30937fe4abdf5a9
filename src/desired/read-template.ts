import type { BigIntStats } from "node:fs";
import { readFileSync } from "node:fs";
import { AgbSyncError } from "../errors.ts";
import { decodeText } from "../manifest/decode-text.ts";
import { interpolateTemplate } from "../manifest/interpolate.ts";
import type { Variables } from "../manifest/manifest.ts";

/** Longest template, in bytes. */
const MAX_TEMPLATE_BYTES = 8 * 1024 * 1024;

/** A local file that is a template, as it was looked at. */
export type TemplateFile = { readonly localPath: string; readonly stats: BigIntStats; readonly sensitive: boolean };

/**
 * What a template becomes.
 * @throws {ManifestError} with every fault in it. @throws {AgbSyncError} `SOURCE_TOO_LARGE`. And what the file system says.
 */
export function readTemplate({ localPath, stats, sensitive }: TemplateFile, variables: Variables): string {
  if (stats.size > MAX_TEMPLATE_BYTES) {
    const message = `the template ${localPath} is larger than ${MAX_TEMPLATE_BYTES} bytes`;
    throw new AgbSyncError("SOURCE_TOO_LARGE", message, {
      hint: "send large content as it is, without `template: true`",
    });
  }
  const hint = "save it as UTF-8, or send it as it is, without `template: true`";
  const text = decodeText(readFileSync(localPath), localPath, hint);
  return interpolateTemplate({ file: localPath, text, sensitive }, variables).text;
}
