//! Who shares whose connection.

use super::{Client, Fault, FaultKind, Plan};

impl Plan {
    /// Who shares one connection, whose it is included.
    pub fn party(&self, host: u32) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(move |it| it.id == host || it.over == Some(host))
    }

    /// When the polls of a client are cancelled.
    pub(crate) fn polls_cancelled_ms(&self, client: u32) -> impl Iterator<Item = u64> {
        let of_client = move |fault: &&Fault| {
            matches!(fault.kind, FaultKind::CancelPolls { .. }) && fault.concerns(client)
        };
        self.faults.iter().filter(of_client).map(|fault| fault.from_ms)
    }

    /// Leaves the faults of links to those whom `is_concerned` says; who strikes nobody goes.
    pub(crate) fn retain_concerned(&mut self, is_concerned: impl Fn(u32) -> bool) {
        self.faults.retain_mut(|fault| {
            let Some(clients) = fault.kind.clients_mut() else { return true };
            clients.retain(|&id| is_concerned(id));
            !clients.is_empty()
        });
    }

    /// Who has a connection.
    pub fn hosts(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.over.is_none())
    }

    /// Whose connection a client's is.
    pub fn host_of(&self, client: u32) -> u32 {
        let found = self.clients.iter().find(|other| other.id == client);
        found.and_then(|found| found.over).unwrap_or(client)
    }

    /// What is wrong with whose connection a client shares, if anything.
    pub(super) fn wrong_sharing(&self, client: &Client) -> Option<&'static str> {
        let over = client.over?;
        let host = self.clients.iter().find(|other| other.id == over);
        if host.is_none_or(|host| host.over.is_some()) {
            return Some("it shares the connection of nobody who has one");
        }
        let is_rival =
            |other: &Client| other.id != client.id && other.namespace == client.namespace;
        if self.party(over).any(is_rival) {
            return Some("it shares a connection in a namespace that is taken");
        }
        let mut concerned = self.faults.iter().flat_map(|fault| fault.kind.clients());
        let is_struck = concerned.any(|&id| id == client.id);
        is_struck.then_some("a fault of a link that it does not have")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, FaultKind, Namespace};
    use crate::swarm::{Profile, generate};

    /// Client 1 shares the connection of client 0.
    fn plan() -> Plan {
        let profile = Profile { faults: false, all_of_the_chat: false, ..Profile::default() };
        let mut plans = (0..).map(|seed| generate(seed, &profile));
        let mut plan = plans.find(|plan| plan.clients.len() > 2).expect("some have three clients");
        plan.clients[1].over = Some(plan.clients[0].id);
        plan.clients[1].namespace = Namespace::Side;
        plan
    }

    #[test]
    fn who_shares_a_connection_is_in_its_party_and_no_host() {
        let plan = plan();
        let ids: Vec<u32> = plan.clients.iter().map(|client| client.id).collect();
        let party: Vec<u32> = plan.party(ids[0]).map(|client| client.id).collect();
        assert_eq!(party, ids[..2]);
        assert_eq!((plan.host_of(ids[1]), plan.host_of(ids[2])), (ids[0], ids[2]));
        assert!(plan.hosts().all(|host| host.id != ids[1]));
    }

    #[test]
    fn sharing_what_can_not_be_shared_is_refused() {
        type Edit = fn(&mut Plan);
        let edits: [(&str, Edit); 4] = [
            ("nobody who has one", |plan| plan.clients[1].over = Some(99)),
            ("nobody who has one", |plan| plan.clients[2].over = Some(plan.clients[1].id)),
            ("taken", |plan| plan.clients[1].namespace = Namespace::Root),
            ("a link that it does not have", |plan| {
                let kind = FaultKind::Freeze { clients: vec![plan.clients[1].id] };
                plan.faults = vec![Fault { from_ms: 0, until_ms: 1, kind }];
            }),
        ];
        plan().check().expect("it can be shared");
        for (words, edit) in edits {
            let mut plan = plan();
            edit(&mut plan);
            let error = plan.check().expect_err(words).to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
