//! All that a run is judged by: each guarantee's name, and what it promises, for
//! people who have never seen the contract.

/// No more is kept for a client than the limits say.
pub const BOUNDED: &str = "bounded";

/// When everybody has gone, nothing is left of them.
pub const CLEANUP: &str = "cleanup";

/// Some time after the last fault all is as the clients want it.
pub const HEALS: &str = "heals";

/// Nothing crosses from one namespace to another.
pub const NAMESPACE_ISOLATION: &str = "namespace_isolation";

/// Nothing is left unjudged because a history is too long.
pub const JUDGED_IN_FULL: &str = "judged_in_full";

/// Nothing panics.
pub const NO_PANIC: &str = "no_panic";

/// What a watcher is told is what became true.
pub const PRESENCE_TRUTHFUL: &str = "presence_truthful";

/// Each packet comes when it may, and neither side says that the other broke the protocol.
pub const PROTOCOL_LEGAL: &str = "protocol_legal";

/// Who is told that it was recovered has missed nothing, and gets nothing twice.
pub const RECOVERY_EXACT: &str = "recovery_exact";

/// Who is silent is given up, not too early and not too late.
pub const SILENT_PEER_CLOSED: &str = "silent_peer_closed";

/// Volatile events are lost, and nothing worse.
pub const VOLATILE_ONLY_DROPS: &str = "volatile_only_drops";

/// Every guarantee and its promise, by name.
const PROMISES: [(&str, &str); 23] = [
    (
        "ack_means_accepted",
        "When a message's ack arrives, the message has its place in the order, and all members \
         will hear it.",
    ),
    (
        BOUNDED,
        "No more waits for a client than the limits say. Who does not read is closed, or loses \
         whole events, which are counted; nobody else waits for it.",
    ),
    (CLEANUP, "When the last client has gone, the server holds nothing of any."),
    (
        "connection_fifo",
        "What one client sends is handled in the order it sent it, and what one handler emits \
         arrives in that order, whatever the transport.",
    ),
    (
        HEALS,
        "After the last fault every client that wants to be connected is, in the rooms it wants, \
         and hears what is said there.",
    ),
    (
        "join_then_hear",
        "A member receives every broadcast accepted after its join and before its leave, if its \
         connection survives.",
    ),
    (JUDGED_IN_FULL, "A history is short enough to be judged."),
    (
        NAMESPACE_ISOLATION,
        "Nothing crosses from one namespace to another: a room's name has a meaning only in its \
         own.",
    ),
    ("no_duplicate", "A broadcast reaches a socket at most once."),
    ("no_invention", "What arrives was sent, byte for byte, by the named sender, to that room."),
    (NO_PANIC, "Nothing panics, and no host fails."),
    (
        PRESENCE_TRUTHFUL,
        "A list of members is the membership at one moment between its request and its answer, \
         and each change after it is told once, in order.",
    ),
    (PROTOCOL_LEGAL, "The server keeps to the protocol, and puts no client out that keeps to it."),
    (
        RECOVERY_EXACT,
        "Who comes back and is told that it was recovered is in the rooms it was in, has missed \
         nothing, and hears nothing twice or out of order.",
    ),
    ("room_isolation", "Nothing crosses from one room to another."),
    (
        "room_total_order",
        "Any two members of a room see the broadcasts that both receive in the same order.",
    ),
    ("sender_excluded", "Who sends a message to a room does not hear it."),
    (
        "sender_fifo",
        "The broadcasts of one sender to one room reach each member in the order sent.",
    ),
    (
        "silent_after_leave",
        "Once the ack of a leave has arrived, no broadcast of that room arrives.",
    ),
    ("silent_before_join", "No broadcast arrives that was accepted before the join."),
    (
        SILENT_PEER_CLOSED,
        "A client that answers no ping is given up pingInterval + pingTimeout after its last pong: \
         not earlier, and hardly later.",
    ),
    (
        "switch_atomic",
        "A switch is one step: no broadcast finds the socket in both rooms, or in neither.",
    ),
    (
        VOLATILE_ONLY_DROPS,
        "A volatile event may be lost on its way to a slow member; it is never doubled, out of \
         order, or heard by others.",
    ),
];

/// The names of all guarantees, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROMISES.iter().map(|&(name, _)| name)
}

/// What the guarantee of this name promises; of a name from elsewhere, nothing.
pub fn sentence(name: &str) -> Option<&'static str> {
    PROMISES.iter().find(|(known, _)| *known == name).map(|&(_, promise)| promise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor::check::Guarantee;

    #[test]
    fn the_checkers_guarantees_are_among_all() {
        for guarantee in Guarantee::ALL {
            assert!(sentence(guarantee.name()).is_some(), "{}", guarantee.name());
        }
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(names().is_sorted_by(|one, next| one < next));
    }
}
