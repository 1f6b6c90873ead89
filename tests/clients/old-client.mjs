// The stock client of Socket.IO 2 against a chat server that serves Engine.IO v3:
// over polling, over WebSocket, and from the one to the other.
//
//   node old-client.mjs URL --namespace NAME

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import io from "socket.io-client-2";

import { soon } from "./suite/peer.mjs";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: "string" } },
});
const [url] = positionals;

/** A connected socket, and what `hello` said. */
async function connect(transports, namespace, options = {}) {
  const socket = io(url + namespace, { transports, forceNew: true, reconnection: false, ...options });
  const hello = new Promise((resolve) => socket.once("hello", resolve));
  await soon(new Promise((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject).once("connect_error", reject);
  }), `CONNECT to ${namespace}`);
  return { socket, hello: await soon(hello, "hello") };
}

const ask = (socket, ...event) =>
  soon(new Promise((resolve) => socket.emit(...event, (...answer) => resolve(answer))), event[0]);

const heard = (socket, event) =>
  soon(new Promise((resolve) => socket.once(event, resolve)), event);

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  for (const forceBase64 of [false, true]) {
    for (const namespace of ["/", values.namespace]) {
      const name = `${transports.join(" to ")}${forceBase64 ? ", base64" : ""}, ${namespace}`;
      const { socket, hello } = await connect(transports, namespace, { forceBase64 });
      assert.equal(typeof hello.id, "string", name);
      const { socket: other } = await connect(transports, namespace, { forceBase64 });
      for (const one of [socket, other]) {
        assert.equal((await ask(one, "join", `old ${name}`))[0].ok, true, name);
      }
      const text = { grin: "\u{1f600}", euro: "\u20ac", long: "x".repeat(3000) };
      assert.deepEqual(await ask(socket, "echo", 1, text), [1, text], name);
      const [bytes] = await ask(socket, "echo", Buffer.from([0, 1, 2, 255]));
      assert.deepEqual(Buffer.from(bytes), Buffer.from([0, 1, 2, 255]), name);
      for (let number = 0; number < 20; number += 1) {
        socket.emit("message", { room: `old ${name}`, body: { number, bytes: Buffer.from([number]) } });
        const { body } = await heard(other, "message");
        assert.deepEqual([body.number, Buffer.from(body.bytes)[0]], [number, number], name);
      }
      if (transports.length > 1) {
        while (socket.io.engine.transport.name !== "websocket") await sleep(5);
        assert.deepEqual(await ask(socket, "echo", "upgraded"), ["upgraded"], name);
      }
      socket.close();
      other.close();
      console.log(`ok    ${name}`);
    }
  }
}

const stranger = io(`${url}/nowhere`, { transports: ["polling"], forceNew: true, reconnection: false });
assert.equal(await heard(stranger, "error"), "Invalid namespace");
stranger.close();
console.log("all is well");
process.exit(0);
