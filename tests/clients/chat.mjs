// The chat protocol on one namespace of a stock Socket.IO server.
//
// Membership is kept here as well as in Socket.IO's own rooms: Socket.IO's
// serve the broadcasts, the ones here know names, numbers and watchers.

export const LIMITS = { nameBytesMax: 256, roomBytesMax: 256, roomsMax: 1024 };

/** A call that cannot be served; its message is what the caller reads. */
class Refusal extends Error {}

/** Serves the chat on `namespace`; `server` is the name that `hello` carries. */
export function serveChat(namespace, server) {
  const chat = new Chat(namespace);
  namespace.on("connection", (socket) => {
    socket.data = { name: null, rooms: new Set(), watched: new Set() };
    for (const [event, handler] of Object.entries(HANDLERS)) {
      socket.on(event, (...args) => answer(socket, args, (rest) => handler(chat, socket, ...rest)));
    }
    socket.on("echo", (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
      ack?.(...args);
    });
    socket.on("disconnect", () => chat.disconnect(socket));
    socket.emit("hello", { id: socket.id, server });
  });
}

/** Runs a handler; what it returns, or why it refuses, goes to the ack. */
function answer(socket, args, handler) {
  const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
  try {
    const reply = handler(args);
    ack?.({ ok: true, ...reply });
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const reply = { ok: false, error: refusal.message };
    if (ack) ack(reply);
    else socket.emit("error_message", reply);
  }
}

const HANDLERS = {
  join(chat, socket, room) {
    chat.checkRoom(socket, room);
    chat.join(socket, room);
    return { members: chat.rooms.get(room).members.size };
  },
  leave(chat, socket, room) {
    chat.checkMember(socket, room);
    chat.leave(socket, room);
  },
  switch(chat, socket, previous, next) {
    chat.checkMember(socket, previous);
    chat.checkRoom(socket, next, 1);
    if (previous !== next) chat.leave(socket, previous);
    chat.join(socket, next);
    return { members: chat.rooms.get(next).members.size };
  },
  message(chat, socket, message) {
    if (typeof message !== "object" || message === null || !("body" in message)) {
      throw new Refusal("message needs a room and a body");
    }
    const { room, body } = message;
    chat.checkMember(socket, room);
    const seq = ++chat.rooms.get(room).seq;
    const copy = { room, from: socket.id, body, seq };
    if ("id" in message) copy.id = message.id;
    socket.to(room).emit("message", copy);
    return { seq };
  },
  members(chat, socket, room) {
    checkName(room, "room name", LIMITS.roomBytesMax);
    return { members: chat.members(room) };
  },
  watch(chat, socket, room) {
    chat.checkWatch(socket, room);
    chat.watch(socket, room);
    return { members: chat.members(room) };
  },
  unwatch(chat, socket, room) {
    checkName(room, "room name", LIMITS.roomBytesMax);
    chat.unwatch(socket, room);
  },
  name(chat, socket, name) {
    checkName(name, "name", LIMITS.nameBytesMax);
    socket.data.name = name;
  },
  typing(chat, socket, room) {
    chat.checkMember(socket, room);
    socket.volatile.to(room).emit("typing", { room, from: socket.id });
  },
};

function checkName(name, what, bytesMax) {
  if (typeof name !== "string" || !name.isWellFormed()) throw new Refusal(`${what} is not a string`);
  if (name === "") throw new Refusal(`${what} is empty`);
  const bytes = Buffer.byteLength(name);
  if (bytes > bytesMax) throw new Refusal(`${what} too long: ${bytes} bytes, at most ${bytesMax}`);
}

class Chat {
  constructor(namespace) {
    this.namespace = namespace;
    /** room -> { members: Map(id -> socket), watchers: Set(socket), changes: [], seq } */
    this.rooms = new Map();
  }

  checkMember(socket, room) {
    checkName(room, "room name", LIMITS.roomBytesMax);
    if (!socket.data.rooms.has(room)) throw new Refusal("not a member");
  }

  /** `leaving`: how many rooms the socket gives up in the same step. */
  checkRoom(socket, room, leaving = 0) {
    checkName(room, "room name", LIMITS.roomBytesMax);
    if (room !== socket.id && this.namespace.sockets.has(room)) {
      throw new Refusal("room name belongs to a socket");
    }
    const { rooms } = socket.data;
    if (!rooms.has(room) && rooms.size - leaving >= LIMITS.roomsMax) {
      throw new Refusal(`too many rooms: at most ${LIMITS.roomsMax}`);
    }
  }

  checkWatch(socket, room) {
    checkName(room, "room name", LIMITS.roomBytesMax);
    const { watched } = socket.data;
    if (!watched.has(room) && watched.size >= LIMITS.roomsMax) {
      throw new Refusal(`too many rooms: at most ${LIMITS.roomsMax}`);
    }
  }

  join(socket, room) {
    if (socket.data.rooms.has(room)) return;
    socket.data.rooms.add(room);
    socket.join(room);
    const state = this.room(room);
    state.members.set(socket.id, socket);
    this.announce(room, state, ["+", socket.id]);
  }

  leave(socket, room) {
    socket.data.rooms.delete(room);
    // The room of its own name stays with a socket, as Socket.IO has it.
    if (room !== socket.id) socket.leave(room);
    const state = this.rooms.get(room);
    state.members.delete(socket.id);
    this.announce(room, state, ["-", socket.id]);
    this.forgetIfUnused(room, state);
  }

  disconnect(socket) {
    for (const room of [...socket.data.watched]) this.unwatch(socket, room);
    for (const room of [...socket.data.rooms]) this.leave(socket, room);
  }

  members(room) {
    const members = this.rooms.get(room)?.members ?? new Map();
    return [...members.values()].map(({ id, data }) => ({ id, name: data.name }));
  }

  watch(socket, room) {
    const state = this.room(room);
    // The answer lists what is true now: its notices must start after it.
    this.flush(room, state);
    state.watchers.add(socket);
    socket.data.watched.add(room);
  }

  unwatch(socket, room) {
    const state = this.rooms.get(room);
    if (!socket.data.watched.delete(room)) return;
    this.flush(room, state);
    state.watchers.delete(socket);
    this.forgetIfUnused(room, state);
  }

  room(room) {
    let state = this.rooms.get(room);
    if (!state) {
      state = { members: new Map(), watchers: new Set(), changes: [], seq: 0 };
      this.rooms.set(room, state);
    }
    return state;
  }

  forgetIfUnused(room, state) {
    if (state.members.size + state.watchers.size === 0) this.rooms.delete(room);
  }

  /** Notes a change; all changes of a tick go out together. */
  announce(room, state, change) {
    if (state.watchers.size === 0) return;
    if (state.changes.length === 0) setImmediate(() => this.flush(room, state));
    state.changes.push(change);
  }

  flush(room, state) {
    if (state.changes.length === 0) return;
    const notice = { room, changes: state.changes };
    state.changes = [];
    for (const watcher of state.watchers) watcher.emit("presence", notice);
  }
}
