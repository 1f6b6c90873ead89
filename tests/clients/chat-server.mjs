// A stock Node Socket.IO server that speaks the chat protocol.
//
//   node chat-server.mjs [--port N] [--namespace NAME]... [--fault NAME]
//
// Prints one line, `listening on http://127.0.0.1:PORT`, when it is ready, and
// ends on SIGTERM, on SIGINT, or when whoever started it closes its stdin. With
// a fault (see faults.mjs) it breaks the protocol on purpose, which must be found.

import { randomUUID } from "node:crypto";
import { fstatSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

import { serveChat } from "./chat.mjs";
import { NAMES, spoil } from "./faults.mjs";

const { values: options } = parseArgs({
  options: {
    fault: { type: "string" },
    namespace: { type: "string", multiple: true, default: [] },
    port: { type: "string", default: "0" },
  },
});

if (options.fault && !NAMES.includes(options.fault)) {
  console.error(`chat-server: the faults are ${NAMES.join(", ")}`);
  process.exit(2);
}

const http = createServer((request, response) => response.writeHead(404).end());
const io = new Server(http, { perMessageDeflate: false, serveClient: false });
const name = randomUUID();
for (const namespace of new Set(["/", ...options.namespace])) {
  serveChat(io.of(namespace), name);
  if (options.fault) spoil(io.of(namespace), options.fault);
}

function stop() {
  io.close(() => process.exit(0));
}

process.once("SIGINT", stop);
process.once("SIGTERM", stop);
// /dev/null ends at once and means that nobody holds the other end.
if (!fstatSync(0).isCharacterDevice() || process.stdin.isTTY) {
  process.stdin.on("end", stop).on("error", stop).resume();
}

http.listen({ host: "127.0.0.1", port: Number(options.port), backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
