// The published schema offers only what works. The program also knows what is to come, so that it can say of it that it is
// not there yet instead of calling it unknown; and it wants names for its types, which editors would show.
import { readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

/** Marks what is known but not offered: see `unknownKey` of the manifest's shape errors. */
const COMING = "not supported yet";

/** The schema that manifests are checked against and their type is made from. */
export function completeSchema() {
  const schema = read("../schemas/manifest.schema.json");
  const coming = read("./coming-keys.json");
  for (const key of [coming.session, coming.files].flatMap(Object.values)) key.$comment = COMING;
  const { session, files, directories, trees, links, moves, run } = schema.properties;
  Object.assign(session.properties, coming.session);
  // Where a reader looks for them: beside the other origins.
  const { path, content, source, template, ...others } = files.items.properties;
  files.items.properties = { path, content, source, template, ...coming.files, ...others };
  Object.assign(files.items, coming.fileRules);
  const named = { Session: session, File: files.items, Directory: directories.items, Tree: trees.items };
  Object.assign(named, { Link: links.items, Move: moves.items, Run: run.items, Pull: schema.properties.pull.items });
  for (const [title, part] of Object.entries(named)) part.title = title;
  schema.title = "ManifestFile";
  return schema;
}
