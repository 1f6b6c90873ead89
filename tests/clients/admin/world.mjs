// What a check of the operators' namespace is given: operators, and clients that they look at.

import assert from "node:assert/strict";

import { Peer, soon } from "../suite/peer.mjs";
import { World } from "../suite/world.mjs";

/** The session of the last login: servers check passwords only so often. */
let session;

export class AdminWorld extends World {
  constructor(url, options) {
    super(url, "/admin");
    this.options = options;
  }

  /** An operator who presents `auth`, on a connection of its own. */
  async operatorWith(auth) {
    return new Operator(this.manager({ reconnection: false }), "/admin", { auth }).enter();
  }

  /** An operator who logs in with the password. */
  async login() {
    const { username, password } = this.options;
    const operator = await this.operatorWith({ username, password });
    [session] = await operator.until("session");
    return operator;
  }

  /** An operator who has all that is sent at the beginning. */
  async operator() {
    const operator = await (session ? this.operatorWith({ sessionId: session }) : this.login());
    if (this.options.mode === "development") await operator.until("all_sockets");
    else await operator.until("config");
    return operator;
  }
}

/** A client of the operators' namespace. */
class Operator extends Peer {
  /** Takes events until the first that is called `name`, and about what `args` says; returns its arguments. */
  async until(name, ...args) {
    const wanted = args.map((argument) => JSON.stringify(argument));
    const fits = (rest) => wanted.every((text, at) => text === undefined || JSON.stringify(rest[at]) === text);
    const found = async () => {
      for (;;) {
        const [event, ...rest] = await this.next();
        if (event === name && fits(rest)) return rest;
      }
    };
    return soon(found(), `${name} ${wanted.join(" ")}`);
  }

  /** What comes about one socket until the event `last` has come: each event without its time. */
  async storyOf(id, last) {
    const story = [];
    for (;;) {
      const [event, ...args] = await this.next();
      if (!JSON.stringify(args).includes(id) || event === "all_sockets") continue;
      if (event !== "socket_updated") assertTime(args.pop());
      story.push([event, ...args]);
      if (last(event, ...args)) return story;
    }
  }
}

/** The time of an event, as JSON has it. */
export function assertTime(time) {
  assert.equal(new Date(time).toISOString(), time);
}

/** What a value is made of: the names of its fields, and the types of what is in them. */
export function shape(value) {
  if (Array.isArray(value)) return value.map(shape);
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
}

/** What every socket in a list or in `socket_connected` is made of. */
export function assertSocket(socket, expected) {
  const { handshake, data, rooms, ...rest } = socket;
  const { headers, query, ...constant } = handshake;
  const word = "string";
  assert.deepEqual(shape(rest), { id: word, clientId: word, transport: word, nsp: word });
  assert.deepEqual(shape(constant), {
    address: word,
    issued: "number",
    secure: "boolean",
    time: word,
    url: word,
    xdomain: "boolean",
  });
  assert.equal(typeof headers.host, word);
  assert.equal(query.EIO, "4");
  assert.equal(rest.clientId.length, 12);
  assert.ok(Math.abs(Date.now() - handshake.issued) < 60_000, "the time of the handshake");
  assert.equal(Math.trunc(Date.parse(handshake.time) / 1000), Math.trunc(handshake.issued / 1000));
  assert.match(handshake.time, /^\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT\+0000 \(Coordinated Universal Time\)$/);
  assert.equal(shape(data)?.constructor, Object);
  assert.deepEqual({ id: rest.id, nsp: rest.nsp, rooms, data }, { nsp: "/", data: {}, ...expected });
}
