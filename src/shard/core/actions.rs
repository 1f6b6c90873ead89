//! Doing what the hub wants done.

use std::task::Waker;

use super::{Closing, Content, Links, State, Witness, slot};
use crate::hub::{Action, ConnId, Loss};
use crate::websocket;

impl State {
    /// Does what the hub wants done.
    pub(super) fn apply(&mut self, witness: Option<&Witness>, links: &Links) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.list.drain(..) {
            match action {
                Action::Accepted(accepted) => {
                    if let Some(witness) = witness {
                        witness(&accepted);
                    }
                }
                Action::Close { conn, close_code } => self.close(conn, close_code),
                Action::Exchange { to, message } => {
                    let own = || links.permit(&message);
                    let permit = Some(self.cause.clone().unwrap_or_else(own));
                    links.send(to, Content::Message(message), permit);
                }
                Action::Notify(conn, notification) => {
                    if let Some(slot) = slot(&mut self.slots, conn) {
                        slot.mailbox.put(notification, &mut self.spares);
                        slot.waker.iter().for_each(Waker::wake_by_ref);
                    }
                }
                Action::Replied(ticket, reply) => self.tickets.replied(ticket, reply),
                Action::Resolve(ticket, outcome) => self.tickets.resolve(ticket, outcome),
                Action::Seen(sighting) => self.note_seen(*sighting),
                Action::Send { frame, to, loss } => {
                    let to = &mut actions.recipients[to];
                    let kept = match loss {
                        Loss::Never | Loss::Policy(_) => to.len(),
                        Loss::Volatile(_) => self.keep_uncongested(to),
                    };
                    let counters = &mut self.hub.counters;
                    counters.dropped.volatile += (to.len() - kept) as u64;
                    if kept > 0 && loss != Loss::Never {
                        counters.events_out += 1;
                        counters.deliveries += kept as u64;
                    }
                    self.outbox.push(&actions.bytes[frame], &to[..kept], loss);
                }
                Action::ServerSide(namespace, args) => {
                    self.server_side.push_back((namespace, args));
                }
            }
        }
        actions.clear();
        self.actions = actions;
    }

    /// Moves those who can take a volatile packet to the front; returns how many they are.
    fn keep_uncongested(&self, to: &mut [ConnId]) -> usize {
        let mut kept = 0;
        for at in 0..to.len() {
            if !self.slots[to[at].index as usize].congested {
                to.swap(kept, at);
                kept += 1;
            }
        }
        kept
    }

    fn close(&mut self, conn: ConnId, close_code: Option<u16>) {
        if let Some(code) = close_code {
            let mut frame = Vec::new();
            websocket::encode_close(code, None, &mut frame);
            self.push(&frame, conn);
        }
        if let Some(slot) = self.slot(conn) {
            slot.closing =
                Some(if close_code.is_some() { Closing::AfterFlush } else { Closing::Now });
            slot.waker.iter().for_each(Waker::wake_by_ref);
        }
    }
}
