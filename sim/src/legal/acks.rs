//! Acks: each answers one event of the client's, in that event's namespace, once.

use std::collections::BTreeMap;

use super::Illegal;

/// The most answers that may be awaited; of more, the oldest are not judged.
pub const AWAITED_MAX: usize = 16 * 1024;

/// What the client waits for: the namespace of each id.
#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    awaited: BTreeMap<u64, String>,
    /// Above all ids that were given out.
    next: u64,
    /// Ids below this may have been forgotten.
    judged_from: u64,
}

impl Acks {
    /// The client wants an answer.
    pub(super) fn ask(&mut self, id: u64, namespace: &str) {
        self.next = self.next.max(id + 1);
        self.awaited.insert(id, namespace.to_owned());
        if self.awaited.len() > AWAITED_MAX
            && let Some((oldest, _)) = self.awaited.pop_first()
        {
            self.judged_from = oldest + 1;
        }
    }

    /// The server answers.
    pub(super) fn hear(&mut self, id: u64, namespace: &str) -> Result<(), Illegal> {
        match self.awaited.remove(&id) {
            Some(asked_in) if asked_in == namespace => Ok(()),
            Some(asked_in) => Err(Illegal::new(format!(
                "sent the ack {id} in the namespace {namespace}, which was asked for in {asked_in}"
            ))),
            None if id < self.judged_from => Ok(()),
            None if id < self.next => {
                Err(Illegal::new(format!("sent the ack {id}, for which nobody waits any more")))
            }
            None => Err(Illegal::new(format!("sent the ack {id}, which was never asked for"))),
        }
    }

    /// The client is in this namespace anew: nobody waits for what was asked there before.
    pub(super) fn forget(&mut self, namespace: &str) {
        self.awaited.retain(|_, asked_in| asked_in != namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_too_many_are_not_judged() {
        let mut acks = Acks::default();
        let max = AWAITED_MAX as u64;
        for id in 0..=max {
            acks.ask(id, "/");
        }
        assert_eq!(acks.awaited.len(), AWAITED_MAX);
        assert_eq!(acks.hear(0, "/"), Ok(()));
        assert_eq!(acks.hear(max, "/"), Ok(()));
        assert!(acks.hear(max, "/").is_err());
        assert!(acks.hear(max + 1, "/").is_err());
    }
}
