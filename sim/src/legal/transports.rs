//! Transports: what may come over which, from the open packet to the close packet.
//!
//! ```text
//!            2probe         3probe           5
//! Unprobed ---------> Asked ------> Answered -> the WebSocket
//!     ^                 |              |
//!     +-----------------+--------------+ the probe is given up
//! ```
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Transports", "Upgrade".

use std::time::Duration;

use parlor::client::Way;
use parlor::engineio::Packet;
use parlor::websocket::Message;

use super::{Illegal, Terms, short};

#[derive(Clone, Copy, Debug)]
pub(super) struct Transports {
    is_open: bool,
    is_closed: bool,
    probe: Probe,
    /// When the client went over to the WebSocket.
    upgraded_at: Option<Duration>,
    /// When the GET was sent that waits for its answer.
    asked_at: Option<Duration>,
    release_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Answered { at: Duration },
    Asked,
    Unprobed,
}

impl Transports {
    pub(super) fn new(terms: Terms, at: Duration) -> Self {
        Self {
            is_open: false,
            is_closed: false,
            probe: Probe::Unprobed,
            upgraded_at: None,
            asked_at: terms.polls.then_some(at),
            release_max: terms.release_max,
        }
    }

    /// It is `at`: a poll may be held no longer.
    pub(super) fn handle_time(&self, at: Duration) -> Result<(), Illegal> {
        match (self.probe, self.asked_at) {
            (Probe::Answered { at: since }, Some(asked_at))
                if at.saturating_sub(since) > self.release_max =>
            {
                let held_ms = (at - since).as_millis();
                let what = format!(
                    "answered a probe and still held the poll {held_ms} ms later, without which \
                     the client can not go over"
                );
                Err(Illegal { what, since: Some(asked_at) })
            }
            (Probe::Answered { .. } | Probe::Asked | Probe::Unprobed, _) => Ok(()),
        }
    }

    pub(super) fn handle_asked(&mut self, at: Duration) {
        self.asked_at = Some(at);
    }

    pub(super) fn handle_answered(&mut self) {
        self.asked_at = None;
    }

    pub(super) fn handle_probe_gone(&mut self) {
        self.probe = Probe::Unprobed;
    }

    pub(super) fn say(&mut self, at: Duration, way: Way, text: &str) {
        match (way, text) {
            (Way::Probe, "2probe") => self.probe = Probe::Asked,
            (Way::Probe, "5") => (self.probe, self.upgraded_at) = (Probe::Unprobed, Some(at)),
            (Way::Polling | Way::Probe | Way::WebSocket, _) => {}
        }
    }

    /// Something came by this way.
    pub(super) fn hear(
        &mut self,
        at: Duration,
        way: Way,
        message: Message<'_>,
    ) -> Result<(), Illegal> {
        if matches!(message, Message::Close(_) | Message::Ping(_) | Message::Pong(_)) {
            return Ok(());
        }
        if self.is_closed {
            let shown = show(message);
            return Err(Illegal::new(format!("sent {shown} after it had closed the session")));
        }
        match (way, self.upgraded_at) {
            (Way::Polling, Some(_)) => Err(Illegal::new(format!(
                "sent {} over polling after the client had gone over to the WebSocket",
                show(message)
            ))),
            (Way::Probe, None) => self.hear_probe(at, message),
            // What came at the moment of the word was sent before it.
            (Way::Probe | Way::WebSocket, Some(upgraded_at)) if upgraded_at == at => {
                Err(early(message))
            }
            (Way::Probe, Some(_)) => Err(early(message)),
            (Way::Polling | Way::WebSocket, None) | (Way::WebSocket, Some(_)) => Ok(()),
        }
    }

    fn hear_probe(&mut self, at: Duration, message: Message<'_>) -> Result<(), Illegal> {
        match (message, self.probe) {
            (Message::Text("3probe"), Probe::Asked) => self.probe = Probe::Answered { at },
            (Message::Text("3probe"), Probe::Answered { .. }) => {
                return Err(Illegal::new("answered a probe twice"));
            }
            (Message::Text("3probe"), Probe::Unprobed) => {
                return Err(Illegal::new("answered a probe before it was asked"));
            }
            (message, _) => return Err(early(message)),
        }
        Ok(())
    }

    /// A packet came over the session's transport.
    pub(super) fn hear_packet(&mut self, packet: &Packet<'_>) -> Result<(), Illegal> {
        match (packet, self.is_open) {
            (Packet::Open(_), true) => {
                return Err(Illegal::new("opened the session a second time"));
            }
            (Packet::Open(_), false) => self.is_open = true,
            (Packet::Close, _) => self.is_closed = true,
            (_, false) => {
                let mut text = String::new();
                packet.encode(&mut text);
                let shown = short(&text);
                return Err(Illegal::new(format!("sent {shown} before it had opened the session")));
            }
            (_, true) => {}
        }
        Ok(())
    }
}

fn early(message: Message<'_>) -> Illegal {
    let shown = show(message);
    Illegal::new(format!("sent {shown} over the WebSocket before the client had gone over to it"))
}

/// The beginning of a message, for people.
fn show(message: Message<'_>) -> String {
    match message {
        Message::Text(text) => short(text),
        Message::Binary(bytes) => format!("{} bytes", bytes.len()),
        Message::Close(_) => "a close frame".to_owned(),
        Message::Ping(_) | Message::Pong(_) => "a frame of control".to_owned(),
    }
}
