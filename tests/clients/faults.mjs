// Faults of a server, to see that they are found: each spoils one message or
// delivery in fifty.

const EVERY = 50;

/** What a fault does to the adapter of a namespace, which makes the broadcasts. */
const FAULTS = {
  /** One recipient does not get a message. */
  lose: (adapter) => spoilDeliveries(adapter, () => {}),

  /** One recipient gets a message twice. */
  duplicate: (adapter) => spoilDeliveries(adapter, (socket, deliver) => {
    deliver(socket);
    deliver(socket);
  }),

  /** One recipient gets a message behind later ones. */
  reorder: (adapter) => spoilDeliveries(adapter, (socket, deliver) => {
    setTimeout(() => deliver(socket), 2000);
  }),

  /** All recipients get another text than was sent. */
  alter: (adapter) => spoilMessages(adapter, (packet) => {
    const { body } = packet.data[1];
    packet.data[1] = { ...packet.data[1], body: body.slice(0, -1) + (body.endsWith("x") ? "y" : "x") };
  }),

  /** The sender hears itself. */
  self: (adapter) => spoilMessages(adapter, (packet, options) => options.except.clear()),

  /** Everybody hears it, whatever room they are in. */
  leak: (adapter) => spoilMessages(adapter, (packet, options) => options.rooms.clear()),
};

export const NAMES = Object.keys(FAULTS);

/** Lets `namespace` show the fault of that name. */
export function spoil(namespace, fault) {
  FAULTS[fault](namespace.adapter);
}

function spoilDeliveries(adapter, bad) {
  const { apply } = adapter;
  let count = 0;
  adapter.apply = (options, deliver) =>
    apply.call(adapter, options, (socket) => {
      count += 1;
      if (count % EVERY === 0) bad(socket, deliver);
      else deliver(socket);
    });
}

function spoilMessages(adapter, bad) {
  const { broadcast } = adapter;
  let count = 0;
  adapter.broadcast = (packet, options) => {
    if (packet.data[0] === "message") count += 1;
    if (packet.data[0] === "message" && count % EVERY === 0) bad(packet, options);
    broadcast.call(adapter, packet, options);
  };
}
