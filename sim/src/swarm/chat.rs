//! What the swarm draws that only parlor's own chat has: a second namespace, and volatile events.

use std::collections::BTreeSet;

use crate::dice::Dice;
use crate::plan::{Act, Client, Namespace, Plan};

/// In how many seeds of a hundred there is more than one namespace.
const NAMESPACES_PERCENT: u64 = 30;

/// These draws are streams of their own.
const TYPING: u64 = 0x7479_7069_6e67;
const NAMESPACES: u64 = 0x6e61_6d65_7370_6163;

/// Draws it, from streams of its own.
pub(super) fn add(seed: u64, plan: &mut Plan) {
    typing(&mut Dice::new(seed ^ TYPING), &mut plan.clients);
    let mut dice = Dice::new(seed ^ NAMESPACES);
    if dice.chance(NAMESPACES_PERCENT) {
        namespaces(&mut dice, plan);
    }
}

/// In some plans a part of what is said is only that somebody is typing.
fn typing(dice: &mut Dice, clients: &mut [Client]) {
    let percent = dice.pick(&[0, 0, 15, 40]);
    for operation in clients.iter_mut().flat_map(|client| &mut client.operations) {
        if let Act::Message { room, .. } = operation.act
            && dice.chance(percent)
        {
            operation.act = Act::Typing { room };
        }
    }
}

/// Some clients go to another namespace, most of them over the connection of somebody who
/// is in the root.
fn namespaces(dice: &mut Dice, plan: &mut Plan) {
    let mut hosts: Vec<u32> = plan.clients.iter().take(1).map(|client| client.id).collect();
    for client in plan.clients.iter_mut().skip(1) {
        if dice.chance(40) {
            hosts.push(client.id);
            continue;
        }
        client.namespace = Namespace::Side;
        if !hosts.is_empty() && dice.chance(80) {
            client.over = Some(hosts.swap_remove(dice.index(hosts.len())));
        }
    }
    let guests = plan.clients.iter().filter(|client| client.over.is_some());
    let guests: BTreeSet<u32> = guests.map(|client| client.id).collect();
    plan.retain_concerned(|id| !guests.contains(&id));
}
