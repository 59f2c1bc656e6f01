// A way to the server that breaks: passes bytes both ways until it is told to cut.
import { createServer, connect } from "node:net";

export async function cuttingProxy(test, url) {
  const target = new URL(url);
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [here, there] of [[client, upstream], [upstream, client]]) {
      sockets.add(here);
      here.on("error", () => {}).on("close", () => (sockets.delete(here), there.destroy())).pipe(there);
    }
  });
  const cut = () => sockets.forEach((socket) => socket.destroy());
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  test.after(() => (server.close(), cut()));
  return { url: `http://127.0.0.1:${server.address().port}`, cut };
}
