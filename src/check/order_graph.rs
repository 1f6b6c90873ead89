//! The graph of consecutive deliveries of one room: acyclic, or there is no
//! one order that all its members see.
//!
//! An edge says that some client heard one message right before the other. The
//! nodes are kept in a topological order that is repaired as edges come (Pearce
//! and Kelly, 2006), which costs nothing while receivers agree.

use std::collections::BTreeMap;

use super::ClientId;

/// Somebody heard `from` right before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The first client that did.
    pub(super) witness: ClientId,
}

#[derive(Debug, Default)]
struct Node {
    rank: u64,
    after: Vec<Edge>,
    before: Vec<Edge>,
}

/// A graph over serials of messages.
#[derive(Debug, Default)]
pub(super) struct OrderGraph {
    nodes: BTreeMap<u64, Node>,
    next_rank: u64,
}

impl OrderGraph {
    /// Notes that `witness` heard `from` right before `to`. If that closes a
    /// cycle nothing is noted, and the edges from `to` to `from` are returned.
    pub(super) fn insert(&mut self, from: u64, to: u64, witness: ClientId) -> Option<Vec<Edge>> {
        let from_rank = self.rank(from);
        let to_rank = self.rank(to);
        if self.nodes[&from].after.iter().any(|edge| edge.to == to) {
            return None;
        }
        if to_rank <= from_rank {
            let ahead = match self.reach(to, from, from_rank) {
                Ok(ahead) => ahead,
                Err(cycle) => return Some(cycle),
            };
            let behind = self.behind(from, to_rank);
            self.rerank(&behind, &ahead);
        }
        self.link(Edge { from, to, witness });
        None
    }

    /// Forgets a message. What came before it still comes before what came after.
    pub(super) fn remove(&mut self, serial: u64) {
        let Some(node) = self.nodes.remove(&serial) else { return };
        for edge in &node.before {
            self.node(edge.from).after.retain(|edge| edge.to != serial);
        }
        for edge in &node.after {
            self.node(edge.to).before.retain(|edge| edge.from != serial);
        }
        for before in &node.before {
            for after in &node.after {
                if self.nodes[&before.from].after.iter().all(|edge| edge.to != after.to) {
                    self.link(Edge { from: before.from, to: after.to, witness: before.witness });
                }
            }
        }
    }

    fn node(&mut self, serial: u64) -> &mut Node {
        self.nodes.get_mut(&serial).expect("edges lead to nodes of the graph")
    }

    fn rank(&mut self, serial: u64) -> u64 {
        let next_rank = &mut self.next_rank;
        let node = self.nodes.entry(serial).or_insert_with(|| {
            *next_rank += 1;
            Node { rank: *next_rank, ..Node::default() }
        });
        node.rank
    }

    fn link(&mut self, edge: Edge) {
        self.node(edge.from).after.push(edge);
        self.node(edge.to).before.push(edge);
    }

    /// What can be reached from `start` up to `rank_max`; or the way to `goal`, if that can.
    fn reach(&self, start: u64, goal: u64, rank_max: u64) -> Result<Vec<u64>, Vec<Edge>> {
        // By which edge each node was found.
        let mut found: BTreeMap<u64, Option<Edge>> = BTreeMap::from([(start, None)]);
        let mut stack = vec![start];
        while let Some(serial) = stack.pop() {
            if serial == goal {
                let mut way = Vec::new();
                let mut at = goal;
                while let Some(Some(edge)) = found.get(&at) {
                    way.push(*edge);
                    at = edge.from;
                }
                way.reverse();
                return Err(way);
            }
            for edge in &self.nodes[&serial].after {
                if self.nodes[&edge.to].rank <= rank_max && !found.contains_key(&edge.to) {
                    found.insert(edge.to, Some(*edge));
                    stack.push(edge.to);
                }
            }
        }
        Ok(found.into_keys().collect())
    }

    /// What leads to `start`, down to `rank_min`.
    fn behind(&self, start: u64, rank_min: u64) -> Vec<u64> {
        let mut found = std::collections::BTreeSet::from([start]);
        let mut stack = vec![start];
        while let Some(serial) = stack.pop() {
            for edge in &self.nodes[&serial].before {
                if self.nodes[&edge.from].rank >= rank_min && found.insert(edge.from) {
                    stack.push(edge.from);
                }
            }
        }
        found.into_iter().collect()
    }

    /// Deals the ranks of both sets anew: first to those behind, then to those ahead.
    fn rerank(&mut self, behind: &[u64], ahead: &[u64]) {
        let by_rank = |serials: &[u64]| {
            let mut ranked: Vec<_> =
                serials.iter().map(|serial| (self.nodes[serial].rank, *serial)).collect();
            ranked.sort_unstable();
            ranked
        };
        let order: Vec<_> = by_rank(behind).into_iter().chain(by_rank(ahead)).collect();
        let mut ranks: Vec<_> = order.iter().map(|&(rank, _)| rank).collect();
        ranks.sort_unstable();
        for ((_, serial), rank) in order.into_iter().zip(ranks) {
            self.node(serial).rank = rank;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reaches(edges: &[(u64, u64)], start: u64, goal: u64) -> bool {
        start == goal
            || edges.iter().enumerate().any(|(i, &(from, to))| {
                from == start && reaches(&[&edges[..i], &edges[i + 1..]].concat(), to, goal)
            })
    }

    proptest! {
        /// An edge is turned down exactly if it would close a cycle; and the way
        /// it would close is one.
        #[test]
        fn a_cycle_is_found_by_the_edge_that_closes_it(edges in proptest::collection::vec((0..6u64, 0..6u64), 0..12)) {
            let mut graph = OrderGraph::default();
            let mut accepted = Vec::new();
            for (from, to) in edges.into_iter().filter(|(from, to)| from != to) {
                let cycle = graph.insert(from, to, ClientId(0));
                prop_assert_eq!(cycle.is_some(), reaches(&accepted, to, from), "{} -> {} in {:?}", from, to, accepted);
                if let Some(cycle) = cycle {
                    prop_assert_eq!((cycle[0].from, cycle[cycle.len() - 1].to), (to, from));
                    prop_assert!(cycle.windows(2).all(|pair| pair[0].to == pair[1].from));
                } else if !accepted.contains(&(from, to)) {
                    accepted.push((from, to));
                }
            }
        }
    }

    #[test]
    fn order_outlives_a_message_forgotten_in_the_middle() {
        let mut graph = OrderGraph::default();
        assert_eq!(graph.insert(1, 2, ClientId(0)), None);
        assert_eq!(graph.insert(2, 3, ClientId(0)), None);
        graph.remove(2);
        assert!(graph.insert(3, 1, ClientId(1)).is_some());
    }
}
