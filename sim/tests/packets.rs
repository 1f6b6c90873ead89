//! Every fault of packets strikes, and no guarantee is broken by it. One test, hence one
//! thread: tokio numbers tasks per process.

use sim::history::{CONNECTIONS_RESET, Event, History, SERVER_STARTS, Tally};
use sim::plan::{Fault, FaultKind, Plan, Substrate};
use sim::run::run;
use sim::swarm::{Profile, generate};

#[test]
fn every_fault_of_packets_strikes_and_breaks_nothing() {
    let clients = || (0..5).collect::<Vec<u32>>();
    let calm = tally(&history(plan(Vec::new())));
    assert_eq!(Tally { again: 0, probes: 0, ..calm }, Tally::default(), "nothing strikes");

    let lost = tally(&during(FaultKind::Loss { clients: clients(), percent: 20 }));
    assert!(lost.lost > 10 && lost.again > calm.again, "{lost:?}");
    let twice = tally(&during(FaultKind::Duplicate { clients: clients(), percent: 20 }));
    assert!(twice.twice > 10, "{twice:?}");
    let late = tally(&during(FaultKind::Reorder { clients: clients(), percent: 20 }));
    assert!(late.late > 10, "{late:?}");
    let narrow = tally(&during(FaultKind::Bandwidth { clients: clients(), bytes_per_ms: 20 }));
    assert!(narrow.queued > 10, "{narrow:?}");

    let reset = during(FaultKind::Reset { clients: clients() });
    assert!(tally(&reset).resets >= 4, "both ends of some connections: {:?}", tally(&reset));
    assert!(faults(&reset, CONNECTIONS_RESET) >= 2, "all clients at once");
    assert!(connections(&reset) > connections(&history(plan(Vec::new()))), "all come back");

    let kill = |from_ms| Fault { from_ms, until_ms: from_ms + 10, kind: FaultKind::Kill };
    let storm = history(plan([300, 330, 360].map(kill).to_vec()));
    assert_eq!(faults(&storm, SERVER_STARTS), 3);

    let mut small = plan(Vec::new());
    small.network.socket_buffer_bytes = 2_048;
    history(small);
}

/// A busy plan without faults of its own.
fn plan(faults: Vec<Fault>) -> Plan {
    let profile =
        Profile { faults: false, substrate: Some(Substrate::Packets), ..Profile::default() };
    let mut plan = generate(3, &profile);
    plan.network.socket_buffer_bytes = 65_536;
    plan.faults = faults;
    plan
}

fn during(kind: FaultKind) -> History {
    let until_ms = plan(Vec::new()).duration_ms;
    let mut kind = kind;
    let ids: Vec<u32> = plan(Vec::new()).hosts().map(|client| client.id).collect();
    kind.clients_mut().expect("a fault of links").retain(|id| ids.contains(id));
    // By then all have dialled.
    let from_ms = until_ms / 3;
    history(plan(vec![Fault { from_ms, until_ms, kind }]))
}

fn history(plan: Plan) -> History {
    let run = run(&plan);
    assert_eq!(run.judgement.failures, [], "{:?}", plan.faults);
    run.history
}

fn tally(history: &History) -> Tally {
    let last = history.entries().last().map(|entry| &entry.event);
    let Some(Event::Packets { tally }) = last else { panic!("{last:?}") };
    *tally
}

fn faults(history: &History, wanted: &str) -> usize {
    let events = history.entries().iter().map(|entry| &entry.event);
    events.filter(|event| matches!(event, Event::Fault { what } if what.ends_with(wanted))).count()
}

fn connections(history: &History) -> usize {
    let events = history.entries().iter().map(|entry| &entry.event);
    events
        .filter(|event| matches!(event, Event::Connected { .. } | Event::Recovered { .. }))
        .count()
}
