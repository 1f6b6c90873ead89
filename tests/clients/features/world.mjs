// What a check of a feature is given: members of the application's namespaces.

import { IS_OLD, Peer } from "../suite/peer.mjs";
import { World } from "../suite/world.mjs";

/** A socket of the application with all features. */
export class Member extends Peer {
  /** What the server calls this socket: clients of Socket.IO 2 are not told. */
  identify() {
    return this.call("id");
  }

  /** Everything that has come: what was accepted before the call is among it. */
  async heard() {
    await this.ask("fence");
    return this.rest();
  }
}

export class FeatureWorld extends World {
  /** A socket of `namespace`, on a connection of its own, not connected yet. */
  stranger(namespace, { auth } = {}) {
    // Socket.IO 2 has the query of a namespace in its place.
    return new Member(this.manager(), namespace, IS_OLD ? { query: auth } : { auth });
  }

  /** A connected socket of `namespace`, on a connection of its own, a member of `rooms`. */
  async member(namespace, ...rooms) {
    const member = await this.stranger(namespace).enter();
    for (const room of rooms) await member.call("join", room);
    return member;
  }
}
