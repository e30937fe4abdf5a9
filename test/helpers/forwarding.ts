import type { Transport } from "../../src/transport/transport.ts";

/** The same session, with some of its calls replaced. */
export function forwarding(inner: Transport, replaced: Partial<Transport>): Transport {
  return {
    kind: inner.kind,
    sessionId: inner.sessionId,
    root: inner.root,
    counters: inner.counters,
    features: (...given) => inner.features(...given),
    listDirectory: (...given) => inner.listDirectory(...given),
    stat: (...given) => inner.stat(...given),
    readFile: (...given) => inner.readFile(...given),
    digestFiles: (...given) => inner.digestFiles(...given),
    writeFile: (...given) => inner.writeFile(...given),
    createDirectory: (...given) => inner.createDirectory(...given),
    move: (...given) => inner.move(...given),
    deleteFile: (...given) => inner.deleteFile(...given),
    removeDirectory: (...given) => inner.removeDirectory(...given),
    setMode: (...given) => inner.setMode(...given),
    createLink: (...given) => inner.createLink(...given),
    shell: inner.shell && ((...given) => shellOf(inner)(...given)),
    upload: inner.upload,
    prepareUpload: inner.prepareUpload,
    close: () => inner.close(),
    ...replaced,
  };
}

function shellOf({ shell }: Transport): NonNullable<Transport["shell"]> {
  if (shell === undefined) throw new Error("no shell");
  return shell;
}
