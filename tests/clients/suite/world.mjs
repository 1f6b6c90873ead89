// What a check is given: peers that are closed after it, and rooms of its own.

import { randomUUID } from "node:crypto";

import { IS_OLD, manager, Peer } from "./peer.mjs";

const nonce = randomUUID().slice(0, 8);
let rooms = 0;

export class World {
  #managers = [];

  constructor(url, other) {
    this.url = url;
    /** A second namespace that serves the chat. */
    this.other = other;
  }

  /** A room that nobody else in this run or another one uses. */
  room(word = "room") {
    rooms += 1;
    return `${word}-${nonce}-${rooms}`;
  }

  /** A connection of its own, not opened yet. */
  manager(options) {
    const made = manager(this.url, options);
    this.#managers.push(made);
    return made;
  }

  /** A connected peer on a connection of its own, a member of `rooms`. */
  async peer(...rooms) {
    const peer = await new Peer(this.manager(), "/").connect();
    for (const room of rooms) await peer.ok("join", room);
    return peer;
  }

  close() {
    for (const made of this.#managers.splice(0)) (IS_OLD ? made.close() : made._close());
  }
}
