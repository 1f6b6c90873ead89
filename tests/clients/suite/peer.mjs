// One stock client as the checks use it: calls with acks, and an inbox that
// keeps everything the server emitted, in order.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Manager } from "socket.io-client";
import { Manager as OldManager } from "socket.io-client-2";

// Far more than anything takes, also where the machine is busy with something else.
const PATIENCE_MS = 30_000;

/** Resolves like `promise`, or fails naming `what` when patience is at its end. */
export async function soon(promise, what) {
  const stop = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    late.catch(() => {});
  }
}

/** The transports that clients may use, in order: those in the environment, or WebSocket alone. */
export const TRANSPORTS = (process.env.TRANSPORTS ?? "websocket").split(",");

/** Whether clients are those of Socket.IO 2, over Engine.IO v3. */
export const IS_OLD = process.env.CLIENT === "2";

/** What packets look like: as the parser in the environment has it, or as JSON. */
export const PARSER = process.env.PARSER === "msgpack" ? (await import("socket.io-msgpack-parser")).default : undefined;

/** A connection that can carry several namespaces. */
export function manager(url, options = {}) {
  return new (IS_OLD ? OldManager : Manager)(url, {
    transports: TRANSPORTS,
    ...(PARSER && { parser: PARSER }),
    autoConnect: false,
    reconnectionDelay: 20,
    reconnectionDelayMax: 200,
    ...options,
  });
}

/** Tells `hear` of all events; clients of Socket.IO 2 have nothing of their own for that. */
function catchAll(socket, hear) {
  if (!IS_OLD) return socket.onAny(hear);
  const { onevent } = socket;
  socket.onevent = (packet) => {
    hear(...packet.data);
    onevent.call(socket, packet);
  };
}

/** One socket of one namespace. */
export class Peer {
  /** Everything the server emitted: `[event, ...args]`, oldest first. */
  received = [];
  #taken = 0;
  #waiting = [];

  constructor(manager, namespace, options) {
    this.socket = manager.socket(namespace, options);
    catchAll(this.socket, (...event) => {
      this.received.push(event);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  get id() {
    return this.socket.id;
  }

  /** Connects; fails with the server's error if it is not let in. */
  async enter() {
    const connected = new Promise((resolve, reject) => {
      this.socket.once("connect", resolve).once("connect_error", reject);
      if (IS_OLD) this.socket.once("error", reject);
    });
    this.socket.connect();
    await soon(connected, `CONNECT to ${this.socket.nsp}`);
    return this;
  }

  /** Connects and takes the `hello` off the inbox. */
  async connect() {
    await this.enter();
    const [event, hello, ...rest] = await this.next();
    assert.equal(event, "hello", "the first event is hello");
    assert.deepEqual(rest, [], "hello has one argument");
    this.hello = hello;
    return this;
  }

  /** The next event that was not taken yet, whatever it is. */
  async next() {
    while (this.received.length === this.#taken) {
      const woken = new Promise((resolve) => this.#waiting.push(resolve));
      await soon(woken, `an event for ${this.id}`);
    }
    return this.received[this.#taken++];
  }

  /** The next event, which must be `event` with one argument: returns it. */
  async expect(event) {
    const [name, ...args] = await this.next();
    assert.equal(name, event, `got ${JSON.stringify([name, ...args])}`);
    assert.equal(args.length, 1, `${event} has one argument`);
    return args[0];
  }

  /** Emits with an ack; the ack must come and have exactly one argument. */
  async call(...event) {
    const args = await this.ask(...event);
    assert.equal(args.length, 1, `the ack of ${event[0]} has one argument`);
    return args[0];
  }

  /** Emits with an ack and returns all its arguments. */
  ask(...event) {
    const acked = new Promise((resolve) => this.socket.emit(...event, (...args) => resolve(args)));
    return soon(acked, `the ack of ${event[0]}`);
  }

  /** Emits with an ack that must say `ok`. */
  async ok(...event) {
    const reply = await this.call(...event);
    assert.equal(reply?.ok, true, `${event[0]} answered ${JSON.stringify(reply)}`);
    return reply;
  }

  /** Emits with an ack that must refuse, and say why. */
  async refused(...event) {
    const reply = await this.call(...event);
    const said = `${JSON.stringify(event).slice(0, 200)} answered ${JSON.stringify(reply)}`;
    assert.equal(reply?.ok, false, said);
    assert.equal(typeof reply.error, "string", said);
    assert.notEqual(reply.error, "", said);
    assert.deepEqual(Object.keys(reply).sort(), ["error", "ok"], said);
  }

  /**
   * Nothing is waiting that was not taken. A round trip comes first: what the
   * server had emitted to this socket before has then arrived.
   */
  async quiet() {
    await this.ask("echo", "fence");
    assert.deepEqual(this.rest(), [], "nothing more was to arrive");
  }

  /** Takes everything that has come, without waiting. */
  rest() {
    const rest = this.received.slice(this.#taken);
    this.#taken = this.received.length;
    return rest;
  }

  /** The transport that this client ends up with. */
  async transport() {
    const { engine } = this.socket.io;
    while (engine.transport.name !== TRANSPORTS.at(-1)) await sleep(1);
    return engine.transport;
  }

  /** Waits until the client would not drop a volatile emit: none of its requests is under way. */
  async writable() {
    while (!this.socket.io.engine.transport.writable) await sleep(1);
  }

  /** Everything of `event` taken or not, without waiting. */
  all(event) {
    return this.received.filter(([name]) => name === event).map(([, argument]) => argument);
  }

  /** Waits until `count` events have come, and takes them all. */
  async take(count) {
    const events = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }

  /** Resolves with the reason when this socket is disconnected. */
  disconnected() {
    return soon(new Promise((resolve) => this.socket.once("disconnect", resolve)), "a disconnect");
  }
}
