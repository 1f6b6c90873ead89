//! Plans of an application: its own script, in the swarm's network and time.

use crate::application::Application;
use crate::dice::Dice;
use crate::plan::{Act, Client, Namespace, Operation, Plan, Say, Transport};

use super::{Profile, count, draw, times};

/// The plan of a seed of an application.
pub(crate) fn scripted(of: &impl Application, seed: u64, profile: &Profile) -> Plan {
    let (mut plan, _) = draw(seed, profile, |dice, _, duration_ms| {
        let drop_percent = dice.pick(&[0, 5, 15]);
        let away_percent = dice.pick(&[0, 0, 10]);
        let ids = 0..count(dice, profile);
        let clients = ids.map(|id| {
            let start_ms = dice.between(0, duration_ms / 4);
            let says = of.script(dice, id, profile.operations);
            let acts = acts(dice, says, drop_percent, away_percent);
            let times = times(dice, start_ms + 20, duration_ms, acts.len());
            let operations =
                times.into_iter().zip(acts).map(|(at_ms, act)| Operation { at_ms, act });
            Client {
                id,
                namespace: Namespace::Root,
                over: None,
                start_ms,
                rejoins: false,
                // What is said over a connection follows from the script, not from sessions.
                recovers: false,
                transport: Transport::WebSocket,
                half_open: None,
                operations: operations.collect(),
                opening: of.opening(id),
                probe: of.probe(id),
            }
        });
        (Vec::new(), clients.collect())
    });
    plan.application = Some(of.name().to_owned());
    plan
}

/// The script, with connections dropped, and absences, between its lines.
fn acts(dice: &mut Dice, says: Vec<Say>, drop_percent: u64, away_percent: u64) -> Vec<Act> {
    let mut acts = Vec::new();
    for say in says {
        if dice.chance(drop_percent) {
            acts.push(Act::Drop);
        }
        if dice.chance(away_percent) {
            acts.extend([Act::Disconnect, Act::Reconnect]);
        }
        acts.push(Act::Call(say));
    }
    acts
}
