import { AgbSyncError } from "../errors.ts";
import { decodeText } from "../manifest/decode-text.ts";
import type { Interpolation } from "../manifest/interpolate.ts";
import { interpolateTemplate } from "../manifest/interpolate.ts";
import type { Variables } from "../manifest/manifest.ts";
import { readLocalFile } from "./local-file.ts";

/** Longest template, in bytes. */
const MAX_TEMPLATE_BYTES = 8 * 1024 * 1024;

/** A local file that is a template. */
export type TemplateFile = { readonly localPath: string; readonly realPath: string; readonly sensitive: boolean };

/**
 * What a template becomes, and what of that differs by machine or session.
 * @throws {ManifestError} with every fault in it. @throws {AgbSyncError} `SOURCE_TOO_LARGE`, `SOURCE_CHANGED`,
 * `SESSION_ID_NEEDED`. And what the file system says.
 */
export function readTemplate(
  { localPath, realPath, sensitive }: TemplateFile,
  variables: Variables,
): Pick<Interpolation, "text" | "variesBy"> {
  const { bytes } = readLocalFile(localPath, MAX_TEMPLATE_BYTES, { realPath });
  if (bytes === undefined) {
    const message = `the template ${localPath} is larger than ${MAX_TEMPLATE_BYTES} bytes`;
    throw new AgbSyncError("SOURCE_TOO_LARGE", message, {
      hint: "send large content as it is, without `template: true`",
    });
  }
  const hint = "save it as UTF-8, or send it as it is, without `template: true`";
  const template = { file: localPath, text: decodeText(bytes, localPath, hint), sensitive };
  const { text, variesBy, isWaiting } = interpolateTemplate(template, variables);
  if (!isWaiting) return { text, variesBy };
  throw new AgbSyncError(
    "SESSION_ID_NEEDED",
    `the template ${localPath} holds \${session.id}, and there is no session yet`,
    {
      hint: "name one with --session, or try it with --local",
    },
  );
}
