import type { ErrorObject } from "ajv";
import type { ManifestFile } from "./manifest-file.ts";

/** The compiled schemas/manifest.schema.json; `errors` belongs to the latest call. */
declare const validate: {
  (data: unknown): data is ManifestFile;
  errors?: ErrorObject[] | null;
};
export default validate;
