//! A tap: who wants to see each packet that passes between a client and its server, as it
//! was on the wire, and not only what it means.
//!
//! A session hides what a user need not know: the heartbeat, how one transport gives way
//! to another, events that came before the answer to CONNECT. A tap sees all of it, and
//! changes nothing: it is for logs, and for who judges a server. Without one, a packet
//! costs one comparison more.

use crate::websocket::{Message, Opcode};

/// Sees each packet that passes between a session and its server, as it was on the wire, and
/// changes nothing.
///
/// # Guarantees
///
/// * What is heard is told before the session handles it, in the order of arrival on its
///   transport.
/// * What is said is told when it leaves for the server: with the POST that carries it,
///   not when it is queued.
pub trait Tap: std::fmt::Debug {
    /// Something passes now.
    fn handle(&mut self, passing: Passing<'_>);
}

/// What passes between a client and its server.
///
/// That a session begins is not told, nor the first GET of one that polls: both have
/// happened when a tap is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing<'a> {
    /// The answer to the GET is read, and all its packets were told.
    Answered,
    /// A GET, after the first.
    Asked,
    /// The server says something.
    Heard {
        /// By which transport.
        way: Way,
        /// A packet, or a control frame of a WebSocket.
        message: Message<'a>,
    },
    /// The WebSocket that was to take over is given up.
    ProbeGone,
    /// The client says something.
    Said {
        /// By which transport.
        way: Way,
        /// A packet, or a control frame of a WebSocket.
        message: Message<'a>,
    },
}

/// One way that packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The answer to a GET, or a POST.
    Polling,
    /// A WebSocket beside the requests, up to the packet that makes it the transport.
    Probe,
    /// The WebSocket that is the transport.
    WebSocket,
}

/// Where a session has its tap, if it has one: one word, since nearly all have none.
#[derive(Debug, Default)]
pub(super) struct Outlet(Option<Box<Box<dyn Tap>>>);

impl Outlet {
    pub(super) fn new(tap: Box<dyn Tap>) -> Self {
        Self(Some(Box::new(tap)))
    }

    pub(super) fn tell(&mut self, passing: Passing<'_>) {
        if let Some(tap) = &mut self.0 {
            tap.handle(passing);
        }
    }

    /// A frame leaves, whose payload has these parts.
    pub(super) fn tell_said(&mut self, way: Way, opcode: Opcode, parts: &[&[u8]]) {
        let Some(tap) = &mut self.0 else { return };
        let payload = parts.concat();
        let message = match opcode {
            Opcode::Binary => Message::Binary(&payload),
            Opcode::Ping => Message::Ping(&payload),
            Opcode::Pong => Message::Pong(&payload),
            Opcode::Text => {
                Message::Text(str::from_utf8(&payload).expect("packets are made of text"))
            }
            // A client encodes no fragments, and its close frames elsewhere.
            Opcode::Close | Opcode::Continuation => return,
        };
        tap.handle(Passing::Said { way, message });
    }
}
