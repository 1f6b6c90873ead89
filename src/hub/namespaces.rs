//! Which namespaces there are, and where each is at home.
//!
//! Some are registered and there for good. Others are made when a client asks
//! for a name that one of the application's templates accepts, and go when
//! nobody is in them any more. Every shard makes the same id of the same name,
//! so that no two shards have to agree on it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::journal::{Journal, Recovery};
use super::namespace::Namespace;
use super::{NamespaceId, Place};
use crate::room::ShardId;

/// Which namespaces there are.
#[derive(Debug)]
pub(super) struct Namespaces {
    place: Place,
    recovery: Option<Recovery>,
    unnoticed_max: Duration,
    /// Registered ones and templates, in the order of registration.
    fixed: Vec<Namespace>,
    has_templates: bool,
    made: BTreeMap<NamespaceId, Made>,
    by_name: BTreeMap<Box<str>, NamespaceId>,
    /// Stands for those that have gone: nobody is in it, and nothing happens there.
    nowhere: Namespace,
}

#[derive(Debug)]
struct Made {
    namespace: Namespace,
    /// Connections that it means something to.
    references: usize,
}

impl Namespaces {
    /// `names` in the order of registration; a template has none.
    pub(super) fn new(
        place: Place,
        names: &[&str],
        recovery: Option<Recovery>,
        unnoticed_max: Duration,
    ) -> Self {
        let journal = || recovery.map(|limits| Box::new(Journal::new(limits, unnoticed_max)));
        let here = |(at, name): (usize, &&str)| {
            let home = place.home(u64::try_from(at).unwrap_or_default());
            let mut namespace = Namespace::new(name, place.shard, home);
            if let Some(order) = &mut namespace.order {
                order.journal = journal();
            }
            namespace
        };
        let named = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        Self {
            place,
            recovery,
            unnoticed_max,
            fixed: names.iter().enumerate().map(here).collect(),
            has_templates: names.iter().any(|name| name.is_empty()),
            made: BTreeMap::new(),
            by_name: named.map(|(at, &name)| (name.into(), NamespaceId::registered(at))).collect(),
            nowhere: Namespace::new("", place.shard, place.shard),
        }
    }

    /// Whether a name that is not known may still become a namespace.
    pub(super) fn have_templates(&self) -> bool {
        self.has_templates
    }

    pub(super) fn by_name(&self, name: &str) -> Option<NamespaceId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn at(&self, id: NamespaceId) -> &Namespace {
        match id.made() {
            None => &self.fixed[id.template()],
            Some(_) => self.made.get(&id).map_or(&self.nowhere, |made| &made.namespace),
        }
    }

    pub(super) fn at_mut(&mut self, id: NamespaceId) -> &mut Namespace {
        match id.made() {
            None => &mut self.fixed[id.template()],
            Some(_) => match self.made.get_mut(&id) {
                Some(made) => &mut made.namespace,
                None => &mut self.nowhere,
            },
        }
    }

    pub(super) fn home(&self, id: NamespaceId) -> ShardId {
        self.place.home(id.made().unwrap_or_else(|| id.template() as u64))
    }

    /// The id of a name that a template has accepted.
    pub(super) fn id_of(&self, template: usize, name: &str) -> NamespaceId {
        let mut hasher = DefaultHasher::new();
        // Nobody outside can look for two names with one id.
        (self.place.secret, name).hash(&mut hasher);
        NamespaceId::of_template(template, hasher.finish())
    }

    /// Makes a namespace, if it is not there yet; false if its id means another name,
    /// or its name another id: what two templates accept is of the one that made it.
    pub(super) fn make(&mut self, id: NamespaceId, name: &str) -> bool {
        if self.by_name(name).is_some_and(|known| known != id) {
            return false;
        }
        let (shard, home) = (self.place.shard, self.home(id));
        let (recovery, unnoticed_max) = (self.recovery, self.unnoticed_max);
        let made = self.made.entry(id).or_insert_with(|| {
            self.by_name.insert(name.into(), id);
            let mut namespace = Namespace::new(name, shard, home);
            if let Some(order) = &mut namespace.order {
                order.journal =
                    recovery.map(|limits| Box::new(Journal::new(limits, unnoticed_max)));
            }
            Made { namespace, references: 0 }
        });
        *made.namespace.name == *name
    }

    /// A connection has to do with this namespace.
    pub(super) fn hold(&mut self, id: NamespaceId) {
        if let Some(made) = self.made.get_mut(&id) {
            made.references += 1;
        }
    }

    /// A connection has nothing to do with it any more.
    pub(super) fn release(&mut self, id: NamespaceId) {
        if let Some(made) = self.made.get_mut(&id) {
            made.references -= 1;
            self.drop_if_unused(id);
        }
    }

    /// Lets go of a namespace that was made, if nobody is in it.
    pub(super) fn drop_if_unused(&mut self, id: NamespaceId) {
        let is_unused = |made: &Made| made.references == 0 && made.namespace.is_empty();
        if self.made.get(&id).is_some_and(is_unused)
            && let Some(made) = self.made.remove(&id)
        {
            self.by_name.remove(&made.namespace.name);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Namespace> {
        self.fixed.iter().chain(self.made.values().map(|made| &made.namespace))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NamespaceId, &mut Namespace)> {
        let fixed = self.fixed.iter_mut().enumerate();
        let fixed = fixed.map(|(at, namespace)| (NamespaceId::registered(at), namespace));
        fixed.chain(self.made.iter_mut().map(|(&id, made)| (id, &mut made.namespace)))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.recovery?;
        self.journals().filter_map(Journal::deadline).min()
    }

    /// Forgets sessions whose time is over, and with the last one its namespace.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.recovery.is_none() {
            return;
        }
        let orders =
            self.iter_mut().filter_map(|(id, namespace)| Some((id, namespace.order.as_mut()?)));
        let mut due = Vec::new();
        for (id, order) in orders {
            if let Some(journal) = &mut order.journal {
                journal.handle_timeout(now);
                order.unhold_rooms();
                due.push(id);
            }
        }
        due.into_iter().for_each(|id| self.drop_if_unused(id));
    }

    /// How many sessions wait for their clients.
    pub(super) fn ghosts(&self) -> usize {
        self.journals().map(Journal::ghosts).sum()
    }

    fn journals(&self) -> impl Iterator<Item = &Journal> {
        let orders = self.iter().filter_map(|namespace| namespace.order.as_ref());
        orders.filter_map(|order| order.journal.as_deref())
    }

    /// How many were made and are still there.
    pub(super) fn made(&self) -> usize {
        self.made.len()
    }
}
