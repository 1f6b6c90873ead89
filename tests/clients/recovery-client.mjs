// A stock client whose connection breaks again and again while somebody speaks.
//
//   node recovery-client.mjs URL [TRANSPORTS]     (and PARSER in the environment)
//
// Each return must be a recovery, and in the end it must have heard every
// message once and in order. Prints `recovered N times, heard N messages`.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { io } from "socket.io-client";

import { PARSER } from "./suite/peer.mjs";

const [url, transports = "websocket"] = process.argv.slice(2);
const ROUNDS = 12;
const room = "recovery";

const connect = () =>
  new Promise((resolve, reject) => {
    const socket = io(url, {
      forceNew: true,
      transports: transports.split(","),
      ...(PARSER && { parser: PARSER }),
      reconnectionDelay: 5,
      reconnectionDelayMax: 20,
    });
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });

const [listener, speaker] = [await connect(), await connect()];
for (const socket of [listener, speaker]) {
  assert.equal((await socket.emitWithAck("join", room)).ok, true);
}
const heard = [];
listener.on("message", ({ body }) => heard.push(body));
const { id } = listener;
let returns = 0;
listener.on("connect", () => {
  returns += 1;
  assert.equal(listener.recovered, true, `return ${returns} is a recovery`);
  assert.equal(listener.id, id, "with the same id");
});

let said = 0;
let speaking = true;
const speech = (async () => {
  while (speaking) {
    said += 1;
    // Volatile events of the server, too, must not disturb the offset.
    speaker.emit("typing", room);
    const number = said;
    assert.equal((await speaker.emitWithAck("message", { room, body: number })).ok, true);
    await sleep(1);
  }
})();

for (let round = 0; round < ROUNDS; round += 1) {
  await sleep(10 + ((round * 7) % 30));
  // A client that closes in the middle of an upgrade keeps what it has just read for after its
  // return, and then hears it twice whatever the server does; networks do not break that way.
  const isUpgrading = () => transports.endsWith("websocket") && !listener.io.engine.transport.ws;
  while (isUpgrading()) await sleep(1);
  const back = new Promise((resolve) => listener.once("connect", resolve));
  // Without a word to the server, as a network would; or with one.
  if (round % 2) listener.io.engine.close();
  else (listener.io.engine.transport.ws?._socket ?? listener.io.engine).destroy?.();
  if (listener.connected) listener.io.engine.close();
  await back;
}
speaking = false;
await speech;
assert.equal((await speaker.emitWithAck("echo"))?.length ?? 0, 0);
for (let waited = 0; heard.length < said && waited < 200; waited += 1) await sleep(10);
assert.deepEqual(
  heard,
  Array.from({ length: said }, (_, index) => index + 1),
);
assert.equal(returns, ROUNDS);

// Who leaves by itself does not come back to what it left.
listener.off("connect");
listener.disconnect();
// Its next connection could be there before its farewell over this one, and would then come
// back to a session that lives.
for (let isIn = true; isIn; ) {
  const { members } = await speaker.emitWithAck("members", room);
  isIn = members.some((member) => member.id === id);
}
listener.connect();
await new Promise((resolve) => listener.once("connect", resolve));
assert.equal(listener.recovered, false);
assert.notEqual(listener.id, id);
console.log(`recovered ${returns} times, heard ${heard.length} messages`);
process.exit(0);
