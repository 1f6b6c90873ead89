//! The pure hub beside the [model](crate::model): what the one does is what the other
//! says, word for word and deed by deed, and nothing is left when all have gone.
//!
//! With one shard, or with several whose messages are all carried before the next deed:
//! the model knows of no shards. There is no network here, no runtime and no clock.

mod hubs;
mod words;

use parlor::hub::Census;

use crate::model::{CLIENTS, Deed, Model};
use hubs::Hubs;

/// Hubs and the model.
#[derive(Debug)]
pub struct Beside {
    hubs: Hubs,
    model: Model,
}

impl Beside {
    /// So many hubs, and nobody there.
    pub fn new(shards: u8) -> Self {
        Self { hubs: Hubs::new(shards), model: Model::default() }
    }

    /// Does it on both sides, unless it is something that can not be done now; says
    /// whether it could.
    ///
    /// # Panics
    ///
    /// If the sides do not agree.
    pub fn perform(&mut self, deed: &Deed) -> bool {
        if !self.model.is_possible(deed) {
            return false;
        }
        self.model.apply(deed.clone());
        let (heard, outcome) = self.hubs.perform(deed);
        assert_eq!(heard, self.model.heard(), "heard at {deed:?}");
        assert_eq!(outcome, *self.model.outcome(), "outcome of {deed:?}");
        self.check_census();
        true
    }

    /// Ends the case: all connections break, and no session is waited for any longer.
    ///
    /// # Panics
    ///
    /// If something is left.
    pub fn finish(mut self) {
        for client in 0..CLIENTS {
            self.hubs.lose(client);
        }
        self.hubs.wait();
        assert_eq!(self.hubs.census(), Census::default(), "everybody has gone");
    }

    fn check_census(&self) {
        let census = self.hubs.census();
        assert_eq!((census.sockets, census.rooms), (self.model.sockets(), self.model.rooms()));
        assert_eq!(census.connections, self.hubs.connections());
        assert_eq!(census.deadlines, census.connections);
        assert_eq!(census.sessions_waiting, self.model.waiting());
        assert_eq!(census.held, 0, "every request has been answered");
    }
}
