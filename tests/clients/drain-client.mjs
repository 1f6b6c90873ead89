// Many stock clients that live through the end of their server, while another one serves the same address.
//
//   node drain-client.mjs URL [--clients N]
//
// Prints `connected` when all of them are in the room, and says things there all the time; ends when each
// has come back by itself to another server and joined again. No message that was acked may be missing at
// a member that stayed, none may come twice, and each says how the clients went over.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { manager } from "./suite/peer.mjs";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { clients: { type: "string", default: "20" } },
});
const [url] = positionals;
const count = Number(values.clients);
const SPEAKERS = Math.min(count, 10);
const PAUSE_MS = 20;

/** Two sockets of one process are read in any order: what is closer together than this is not compared. */
const SLACK_MS = 250;
const PATIENCE_MS = 60_000;
const room = "drain";

const clients = [];
const acked = []; // { server, id, sent, at }
let first; // the server that all begin with
let talking = true;

/** One client: its stays, each with the server, when it was in the room, and what it heard there. */
class Client {
  stays = [];
  reasons = [];
  errors = 0;

  constructor() {
    this.socket = manager(url, { reconnectionDelay: 100, reconnectionDelayMax: 1000 }).socket("/");
    this.socket.io.on("reconnect_error", () => (this.errors += 1));
    this.socket.on("hello", (hello) => this.#begin(hello));
    this.socket.on("message", ({ id }) => this.stays.at(-1).heard.push(id));
    this.socket.on("disconnect", (reason) => {
      this.reasons.push(reason);
      this.gone = performance.now();
      if (this.stays.length > 0) this.stays.at(-1).until = this.gone;
    });
    this.socket.connect();
  }

  #begin({ server }) {
    const stay = { server, since: Infinity, until: Infinity, heard: [] };
    this.stays.push(stay);
    if (this.gone !== undefined) this.away = performance.now() - this.gone;
    this.socket.emit("join", room, (answer) => {
      assert.equal(answer.ok, true, JSON.stringify(answer));
      stay.since = performance.now();
    });
  }

  get here() {
    return this.stays.at(-1)?.since < Infinity;
  }

  get moved() {
    return this.here && this.stays.at(-1).server !== first;
  }
}

/** Says something again and again; what is not acked before a disconnect is not said again. */
async function talk(client, name) {
  for (let number = 0; talking; number += 1) {
    const id = `${name}-${number}`;
    const stay = client.stays.at(-1);
    // Connected again, it is in no room before the new server's hello has come.
    if (client.socket.connected && stay?.since < Infinity && stay.until === Infinity) {
      const sent = performance.now();
      client.socket.emit("message", { room, body: number, id }, (answer) => {
        assert.equal(answer.ok, true, JSON.stringify(answer));
        acked.push({ server: stay.server, speaker: client, id, sent, at: performance.now() });
      });
    }
    await sleep(PAUSE_MS);
  }
}

async function until(condition, what) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited for ${what}`);
    await sleep(5);
  }
}

/** How many deliveries could be checked, of which none is missing. */
function check() {
  let checked = 0;
  for (const client of clients) {
    for (const { server, since, until: end, heard } of client.stays) {
      const ids = new Set(heard);
      assert.equal(ids.size, heard.length, "no message comes twice");
      for (const message of acked) {
        const must = message.server === server && message.speaker !== client
          && message.sent > since + SLACK_MS && message.at < end - SLACK_MS;
        if (!must) continue;
        checked += 1;
        assert.ok(ids.has(message.id), `${message.id} was acked and is missing`);
      }
    }
  }
  return checked;
}

for (let at = 0; at < count; at += 1) clients.push(new Client());
await until(() => clients.every((client) => client.here), "everybody to join");
// Requests that find their way by chance, once two processes share the address, are not the question here.
const last = (process.env.TRANSPORTS ?? "websocket").split(",").at(-1);
const settled = ({ socket }) => socket.io.engine.transport.name === last;
await until(() => clients.every(settled), "everybody to have the last transport");
first = clients[0].stays[0].server;
assert.ok(clients.every((client) => client.stays[0].server === first), "all begin with one server");
const speakers = clients.slice(0, SPEAKERS).map((client, at) => talk(client, `s${at}`));
await sleep(2 * SLACK_MS);
console.log("connected");

await until(() => clients.every((client) => client.moved), "everybody to move");
await sleep(4 * SLACK_MS);
talking = false;
await Promise.all(speakers);
await sleep(SLACK_MS);

assert.ok(clients.every(({ stays }) => stays.length === 2), "each has moved once");
const reasons = [...new Set(clients.flatMap((client) => client.reasons))];
assert.deepEqual(reasons, ["transport close"], "a reason at which clients reconnect");
const sorted = (numbers) => numbers.toSorted((a, b) => a - b);
const gone = sorted(clients.map((client) => client.gone));
const away = sorted(clients.map((client) => client.away));
const ms = (number) => `${Math.round(number)} ms`;
const errors = clients.reduce((sum, client) => sum + client.errors, 0);
console.log(
  `${count} moved over ${ms(gone.at(-1) - gone[0])} with ${errors} failed attempts, `
  + `each away for ${ms(away[0])} to ${ms(away.at(-1))} (median ${ms(away[count >> 1])}); `
  + `${acked.length} messages acked, ${check()} deliveries checked`,
);
console.log("nothing was lost");
process.exit(0);
