//! Which namespaces a client is in, and what may come of each.
//!
//! ```text
//!           CONNECT sent             its answer
//! Out ----------------------> Asked -----------> In ---> DISCONNECT came: Out
//!  ^                            ^ |               |
//!  |      CONNECT sent again    | | CONNECT_ERROR | DISCONNECT sent
//!  |                            | v               v
//!  +----------------------------+-Out           Left ---> DISCONNECT came: Out
//!                               |                 |
//!                               +-----------------+ CONNECT sent again
//! ```
//!
//! What a client hears of a namespace that it has just left was sent before the server
//! knew. That has an end: a ping that came after a pong that was sent after DISCONNECT
//! comes from a server that has read both.

use std::collections::BTreeMap;

use super::Illegal;
use super::head::Kind;

/// All namespaces that the client has asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Memberships(BTreeMap<String, State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// CONNECT is not answered. Of who was in it before, something may still be under way.
    Asked {
        may_trail: bool,
    },
    In,
    /// DISCONNECT was sent.
    Left(Knows),
    /// Put out, or not let in.
    Out,
}

/// Whether the server knows of a DISCONNECT, as far as its client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    NotSeen,
    /// A pong was sent behind it.
    Ponged,
    /// And the server has pinged again.
    Yes,
}

impl Memberships {
    /// The client says something in a namespace.
    pub(super) fn say(&mut self, kind: Kind, namespace: &str) {
        let state = self.0.get_mut(namespace);
        match (kind, state) {
            (Kind::Connect, None) => {
                self.0.insert(namespace.to_owned(), State::Asked { may_trail: false });
            }
            (Kind::Connect, Some(state)) => match *state {
                State::Left(knows) => *state = State::Asked { may_trail: knows != Knows::Yes },
                State::Out => *state = State::Asked { may_trail: false },
                State::Asked { .. } | State::In => {}
            },
            (Kind::Disconnect, Some(state)) if *state == State::In => {
                *state = State::Left(Knows::NotSeen);
            }
            (Kind::Ack | Kind::ConnectError | Kind::Disconnect | Kind::Event, _) => {}
        }
    }

    /// The server says something in a namespace.
    pub(super) fn hear(&mut self, kind: Kind, namespace: &str) -> Result<(), Illegal> {
        let illegal = |why: &str| {
            let what = match kind {
                Kind::Ack => "an ack",
                Kind::Connect => "an answer to CONNECT",
                Kind::ConnectError => "CONNECT_ERROR",
                Kind::Disconnect => "DISCONNECT",
                Kind::Event => "an event",
            };
            Err(Illegal::new(format!("sent {what} in the namespace {namespace}, {why}")))
        };
        let Some(state) = self.0.get_mut(namespace) else {
            return illegal("for which the client has not asked");
        };
        let is_answer = matches!(kind, Kind::Connect | Kind::ConnectError);
        match *state {
            State::Asked { .. } if is_answer => {
                *state = if kind == Kind::Connect { State::In } else { State::Out };
            }
            State::Asked { may_trail: true } => {
                // Nothing comes of the former self after this.
                let may_trail = kind != Kind::Disconnect;
                *state = State::Asked { may_trail };
            }
            State::Asked { may_trail: false } => return illegal("before it answered CONNECT"),
            State::In | State::Left(_) if is_answer => {
                return illegal("where it had answered CONNECT already");
            }
            State::Left(Knows::Yes) => return illegal("which it knew the client had left"),
            State::In | State::Left(_) => {
                if kind == Kind::Disconnect {
                    *state = State::Out;
                }
            }
            State::Out if is_answer => return illegal("for which the client had not asked again"),
            State::Out => return illegal("from which it had put the client out"),
        }
        Ok(())
    }

    /// The client says a pong.
    pub(super) fn say_pong(&mut self) {
        self.learn(Knows::NotSeen, Knows::Ponged);
    }

    /// The server pings.
    pub(super) fn hear_ping(&mut self) {
        self.learn(Knows::Ponged, Knows::Yes);
    }

    fn learn(&mut self, from: Knows, to: Knows) {
        for state in self.0.values_mut().filter(|state| **state == State::Left(from)) {
            *state = State::Left(to);
        }
    }
}
