// What a check of a feature is given: members of the application's namespaces.

import { Peer } from "../suite/peer.mjs";
import { World } from "../suite/world.mjs";

/** A socket of the application with all features. */
export class Member extends Peer {
  /** Everything that has come: what was accepted before the call is among it. */
  async heard() {
    await this.ask("fence");
    return this.rest();
  }
}

export class FeatureWorld extends World {
  /** A socket of `namespace`, on a connection of its own, not connected yet. */
  stranger(namespace, options) {
    return new Member(this.manager(), namespace, options);
  }

  /** A connected socket of `namespace`, on a connection of its own, a member of `rooms`. */
  async member(namespace, ...rooms) {
    const member = await this.stranger(namespace).enter();
    for (const room of rooms) await member.call("join", room);
    return member;
  }
}
