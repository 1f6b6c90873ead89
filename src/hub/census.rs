//! How much a hub holds.

use super::Hub;
use super::namespace::Namespace;

/// How much a hub holds; all zero when everybody has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Engine.IO connections.
    pub connections: usize,
    /// Sockets in all namespaces.
    pub sockets: usize,
    /// Rooms in all namespaces that are at home here.
    pub rooms: usize,
    /// Timers.
    pub deadlines: usize,
    /// Sockets for which something waits until a home has answered.
    pub held: usize,
    /// Addresses of which something is known.
    pub addresses: usize,
    /// Namespaces made of templates.
    pub made_namespaces: usize,
    /// Sessions without a connection that wait for their clients.
    pub sessions_waiting: usize,
}

impl Hub {
    /// What is held at the moment.
    pub fn census(&self) -> Census {
        Census {
            connections: self.open_count,
            sockets: self.namespaces.iter().map(Namespace::len).sum(),
            rooms: self
                .namespaces
                .iter()
                .filter_map(|namespace| namespace.order.as_ref())
                .map(|order| order.rooms.len())
                .sum(),
            deadlines: self.deadlines.len(),
            held: self.homes.waiting(),
            addresses: self.meters.addresses(),
            made_namespaces: self.namespaces.made(),
            sessions_waiting: self.namespaces.ghosts(),
        }
    }
}
