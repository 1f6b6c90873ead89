//! Each guarantee in one sentence, for people who have never seen the contract.

/// What the guarantee of this name promises.
pub(super) fn promise(guarantee: &str) -> &'static str {
    match guarantee {
        "ack_means_accepted" => {
            "When a message's ack arrives, the message has its place in the order, and all members \
             will hear it."
        }
        "connection_fifo" => {
            "What one client sends is handled in the order it sent it, and what one handler emits \
             arrives in that order, whatever the transport."
        }
        "heals" => {
            "After the last fault every client that wants to be connected is, in the rooms it \
             wants, and hears what is said there."
        }
        "join_then_hear" => {
            "A member receives every broadcast accepted after its join and before its leave, if its \
             connection survives."
        }
        "judged_in_full" => "A history is short enough to be judged.",
        "no_duplicate" => "A broadcast reaches a socket at most once.",
        "no_invention" => {
            "What arrives was sent, byte for byte, by the named sender, to that room."
        }
        "no_panic" => "Nothing panics, and no host fails.",
        "protocol_legal" => {
            "The server keeps to the protocol, and puts no client out that keeps to it."
        }
        "room_isolation" => "Nothing crosses from one room to another.",
        "room_total_order" => {
            "Any two members of a room see the broadcasts that both receive in the same order."
        }
        "sender_excluded" => "Who sends a message to a room does not hear it.",
        "sender_fifo" => {
            "The broadcasts of one sender to one room reach each member in the order sent."
        }
        "silent_after_leave" => {
            "Once the ack of a leave has arrived, no broadcast of that room arrives."
        }
        "silent_before_join" => "No broadcast arrives that was accepted before the join.",
        "switch_atomic" => {
            "A switch is one step: no broadcast finds the socket in both rooms, or in neither."
        }
        _ => "See the contract.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor::check::Guarantee;

    #[test]
    fn every_guarantee_has_its_sentence() {
        for guarantee in Guarantee::ALL {
            assert_ne!(promise(guarantee.name()), "See the contract.", "{}", guarantee.name());
        }
    }
}
