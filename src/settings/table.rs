//! The schema: every setting, once.
//!
//! Names are those of the fields that they fill. The group is a table of the
//! file and the beginning of the flag and the variable. A list is named in the
//! singular, as its flag gives one item at a time.

use std::ops::RangeInclusive;
use std::time::Duration;

use parlor::admin::Mode;
use parlor::{Policy, RatePolicy};

use super::kind::{
    address, bytes, choice, count, file, list, log_filter, namespace, or_word, origin,
    password_hash, time, url_path, user_name, yes_or_no,
};
use super::options::LogFormat;
use super::setting::{Group, Setting, group, setting};

/// Long enough for anything, short enough that no deadline overflows.
const TIMES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
/// What one message or backlog may take; more is a typing error.
const BYTES: RangeInclusive<u64> = 1..=1 << 30;
/// What is held one by one for each client; more is a typing error.
const ITEMS: RangeInclusive<u64> = 1..=1_000_000;
/// Where 0 is no limit.
const BYTES_OR_NONE: RangeInclusive<u64> = 0..=1 << 30;
const ITEMS_OR_NONE: RangeInclusive<u64> = 0..=10_000_000;

const POLICIES: [(&str, Policy); 3] = [
    ("disconnect", Policy::Disconnect),
    ("drop_oldest", Policy::DropOldest),
    ("drop_newest", Policy::DropNewest),
];

/// Every setting, in the order in which people are shown them.
pub(super) fn table() -> Vec<Group> {
    vec![
        server(),
        drain(),
        page(),
        http(),
        websocket(),
        cors(),
        limits(),
        recovery(),
        metrics(),
        tls(),
        admin(),
        log(),
    ]
}

fn server() -> Group {
    group(
        "",
        "Where the server listens, what it serves, and how long it waits.",
        vec![
            setting("listen", "Address to listen on; port 0 picks a free one.", address(), |to| {
                &mut to.listen
            }),
            setting("path", "Path that Socket.IO is served under.", url_path(), |to| {
                &mut to.engine.path
            }),
            setting(
                "namespace",
                "Namespaces to serve the chat on, besides `/`.",
                list(namespace()),
                |to| &mut to.namespace,
            ),
            setting(
                "shards",
                "Threads that share the connections; `auto` is one for each core.",
                or_word("auto", count(1..=255)),
                |to| &mut to.shards,
            ),
            setting(
                "share_address",
                "Whether another parlor may listen on the same address, to take over from this one.",
                yes_or_no(),
                |to| &mut to.share_address,
            ),
            setting("ping_interval", "Time from a pong to the next ping.", time(TIMES), |to| {
                &mut to.engine.limits.ping_interval
            }),
            setting(
                "ping_timeout",
                "Time that a client has to answer a ping.",
                time(TIMES),
                |to| &mut to.engine.limits.ping_timeout,
            ),
            setting(
                "connect_timeout",
                "Time that a client has to connect to a namespace.",
                time(TIMES),
                |to| &mut to.engine.limits.connect_timeout,
            ),
            setting(
                "close_timeout",
                "Time that a closing connection has to take what is pending.",
                time(TIMES),
                |to| &mut to.engine.close_timeout,
            ),
            setting(
                "max_payload_bytes",
                "Largest message that a client may send.",
                bytes(BYTES),
                |to| &mut to.engine.limits.max_payload,
            ),
        ],
    )
}

fn drain() -> Group {
    group(
        "drain",
        "How the server ends when a signal says so; a second signal ends it at once.",
        vec![setting(
            "window",
            "Within how long all clients, told to go one by one, are back elsewhere; 0s: all at once.",
            time(Duration::ZERO..=*TIMES.end()),
            |to| &mut to.engine.drain_window,
        )],
    )
}

fn page() -> Group {
    group(
        "page",
        "What browsers get.",
        vec![
            setting("enabled", "Whether there is a page to chat on, at `/`.", yes_or_no(), |to| {
                &mut to.page.enabled
            }),
            setting(
                "client_script",
                "The stock client to serve as `socket.io.js` below `path`; read at the start.",
                or_word("none", file()),
                |to| &mut to.page.client_script,
            ),
        ],
    )
}

fn http() -> Group {
    group(
        "http",
        "Clients that poll, or begin with polling.",
        vec![
            setting(
                "allow_eio3",
                "Whether clients of Socket.IO 2 (Engine.IO protocol v3) are served too.",
                yes_or_no(),
                |to| &mut to.engine.allow_eio3,
            ),
            setting(
                "compression",
                "Whether answers to polls are compressed for who accepts it.",
                yes_or_no(),
                |to| &mut to.engine.http_compression,
            ),
            setting(
                "keep_alive_timeout",
                "How long a connection may be idle between two requests.",
                time(TIMES),
                |to| &mut to.engine.keep_alive_timeout,
            ),
            setting(
                "upgrade_timeout",
                "How long a WebSocket may take to take over from polling.",
                time(TIMES),
                |to| &mut to.engine.upgrade_timeout,
            ),
        ],
    )
}

fn websocket() -> Group {
    group(
        "websocket",
        "Clients with a WebSocket.",
        vec![
            setting(
                "compression",
                "Whether messages are compressed (permessage-deflate) for who accepts it.",
                yes_or_no(),
                |to| &mut to.engine.websocket_compression,
            ),
            setting(
                "compression_threshold_bytes",
                "Shorter messages are not compressed.",
                bytes(BYTES_OR_NONE),
                |to| &mut to.engine.websocket_compression_threshold_bytes,
            ),
        ],
    )
}

fn cors() -> Group {
    group(
        "cors",
        "Which other sites' pages may use long-polling; browsers ask nobody for WebSockets.",
        vec![
            setting(
                "origin",
                "Sites, as `https://chat.example.com`; `*` is every site.",
                list(origin()),
                |to| &mut to.cors.origin,
            ),
            setting(
                "credentials",
                "Whether their pages may send cookies; not with `*`.",
                yes_or_no(),
                |to| &mut to.cors.credentials,
            ),
        ],
    )
}

fn limits() -> Group {
    let settings = [outbound(), held(), connections(), rates()];
    group(
        "limits",
        "What one client may make the server hold, and how fast it may be.",
        settings.into_iter().flatten().collect(),
    )
}

fn outbound() -> Vec<Setting> {
    vec![
        setting(
            "outbound_bytes_max",
            "What may wait for a client that does not read; at one byte more the policy applies.",
            bytes(BYTES),
            |to| &mut to.engine.outbound_bytes_max,
        ),
        setting(
            "outbound_packets_max",
            "Packets that may wait for a client that does not read; at one more the policy applies.",
            count(ITEMS),
            |to| &mut to.engine.outbound_packets_max,
        ),
        setting(
            "policy",
            "What is done when more would wait: the client is closed, or events for it are dropped.",
            choice(&POLICIES),
            |to| &mut to.engine.policy,
        ),
    ]
}

fn held() -> Vec<Setting> {
    vec![
        setting(
            "events_waiting_max",
            "Events of a connection that may wait for handlers; from there on it is not read.",
            count(ITEMS),
            |to| &mut to.engine.events_waiting_max,
        ),
        setting("attachments_max", "Binary attachments of one packet.", count(0..=128), |to| {
            &mut to.engine.limits.attachments_max
        }),
        setting(
            "rooms_per_socket_max",
            "Rooms that a socket may be in at a time; as many may it watch.",
            count(ITEMS),
            |to| &mut to.engine.limits.rooms_per_socket_max,
        ),
        setting(
            "namespaces_per_connection_max",
            "Namespaces that a connection may be in at a time.",
            count(ITEMS),
            |to| &mut to.engine.limits.namespaces_per_connection_max,
        ),
        setting(
            "acks_in_flight_max",
            "Acks that a socket may owe at a time; one more and the oldest is given up.",
            count(ITEMS),
            |to| &mut to.engine.limits.acks_in_flight_max,
        ),
    ]
}

fn connections() -> Vec<Setting> {
    vec![
        setting(
            "connections_max",
            "Connections in total; `auto` is what there are descriptors for, less a reserve, 0 is no limit.",
            or_word("auto", count(ITEMS_OR_NONE)),
            |to| &mut to.engine.limits.connections_max,
        ),
        setting(
            "connections_per_address_max",
            "Connections of one address (of IPv6: of one /64 network); 0 is no limit.",
            count(ITEMS_OR_NONE),
            |to| &mut to.engine.limits.connections_per_address_max,
        ),
    ]
}

fn rates() -> Vec<Setting> {
    vec![
        setting(
            "events_per_second",
            "Events of a connection; 0 is no limit.",
            count(ITEMS_OR_NONE),
            |to| &mut to.engine.limits.rates.events_per_second,
        ),
        setting(
            "bytes_per_second",
            "Bytes of a connection, which is not read while it is over that; 0 is no limit.",
            bytes(BYTES_OR_NONE),
            |to| &mut to.engine.limits.rates.bytes_per_second,
        ),
        setting(
            "address_connections_per_second",
            "Connections that an address may begin, a client that polls three or four; 0 is no limit.",
            count(ITEMS_OR_NONE),
            |to| &mut to.engine.limits.rates.address_connections_per_second,
        ),
        setting(
            "address_events_per_second",
            "Events of all connections of an address; 0 is no limit.",
            count(ITEMS_OR_NONE),
            |to| &mut to.engine.limits.rates.address_events_per_second,
        ),
        setting(
            "address_bytes_per_second",
            "Bytes of all connections of an address; 0 is no limit.",
            bytes(BYTES_OR_NONE),
            |to| &mut to.engine.limits.rates.address_bytes_per_second,
        ),
        setting(
            "rate_burst",
            "How long what is not used of a rate is saved up, to come at once.",
            time(TIMES),
            |to| &mut to.engine.limits.rates.burst,
        ),
        setting(
            "rate_policy",
            "What is done with an event that comes too fast: it is refused, or the client is closed.",
            choice(&[("refuse", RatePolicy::Refuse), ("disconnect", RatePolicy::Disconnect)]),
            |to| &mut to.engine.limits.rates.policy,
        ),
    ]
}

fn recovery() -> Group {
    group(
        "recovery",
        "Clients whose connection broke come back to their session; kept per namespace.",
        vec![
            setting("enabled", "Whether they can.", yes_or_no(), |to| &mut to.recovery.enabled),
            setting("window", "How long after its connection broke.", time(TIMES), |to| {
                &mut to.recovery.limits.window
            }),
            setting("packets_max", "Broadcasts that are kept.", count(ITEMS), |to| {
                &mut to.recovery.limits.packets_max
            }),
            setting("bytes_max", "What the broadcasts that are kept take.", bytes(BYTES), |to| {
                &mut to.recovery.limits.bytes_max
            }),
            setting("sessions_max", "Sessions without a connection.", count(ITEMS), |to| {
                &mut to.recovery.limits.sessions_max
            }),
            setting(
                "own_packets_max",
                "Events to one session alone that are kept for it.",
                count(ITEMS),
                |to| &mut to.recovery.limits.own_packets_max,
            ),
            setting(
                "missed_packets_max",
                "What one session may have missed; never more than half of what may wait for a client.",
                count(ITEMS),
                |to| &mut to.recovery.limits.missed_packets_max,
            ),
            setting("missed_bytes_max", "The same in bytes.", bytes(BYTES), |to| {
                &mut to.recovery.limits.missed_bytes_max
            }),
        ],
    )
}

fn metrics() -> Group {
    group(
        "metrics",
        "For the people who run the server: /metrics (Prometheus), /healthz and /readyz.",
        vec![setting(
            "address",
            "Address of its own to serve them on; `off` is nowhere.",
            or_word("off", address()),
            |to| &mut to.metrics,
        )],
    )
}

fn tls() -> Group {
    group(
        "tls",
        "Encryption, with both files or without; both are read again at a SIGHUP.",
        vec![
            setting(
                "certificate",
                "PEM file with the server's certificate, and those that vouch for it.",
                or_word("none", file()),
                |to| &mut to.tls.certificate,
            ),
            setting("key", "PEM file with its private key.", or_word("none", file()), |to| {
                &mut to.tls.key
            }),
        ],
    )
}

fn admin() -> Group {
    group(
        "admin",
        "For the people who run the server: the stock Admin UI connects to the namespace `/admin`.",
        vec![
            setting("username", "Name that they log in with.", user_name(), |to| {
                &mut to.admin.username
            }),
            setting(
                "password_hash",
                "Of their password, by bcrypt; `off`: there is no such namespace.",
                or_word("off", password_hash()),
                |to| &mut to.admin.password_hash,
            ),
            setting(
                "mode",
                "What they see: counts, or also every socket, room and event with all that is in it.",
                choice(&[("production", Mode::Production), ("development", Mode::Development)]),
                |to| &mut to.admin.mode,
            ),
            setting(
                "read_only",
                "Whether they may only look; else they emit, move and disconnect as they like.",
                yes_or_no(),
                |to| &mut to.admin.read_only,
            ),
        ],
    )
}

fn log() -> Group {
    group(
        "log",
        "What is written to standard error.",
        vec![
            setting(
                "filter",
                "What is logged: a level, or levels for parts such as `info,parlor::server=debug`.",
                log_filter(),
                |to| &mut to.log.filter,
            ),
            setting(
                "format",
                "How a line of the log looks.",
                choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
                |to| &mut to.log.format,
            ),
        ],
    )
}

#[cfg(test)]
mod tests;
