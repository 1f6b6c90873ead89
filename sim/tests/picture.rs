//! Pictures of runs: a binary of its own, since worlds run one at a time in a process.

use sim::history::{Event, History};
use sim::picture::page;
use sim::plan::{Outbound, Policy};
use sim::run::run;
use sim::swarm::{Profile, generate};

#[test]
fn a_page_shows_all_that_happened_and_needs_nothing_else() {
    for seed in 0..6 {
        every_delivery_has_an_arrow_and_every_fault_a_span(seed);
    }
    names_and_commands_are_text_and_nothing_else();
    a_page_needs_nothing_from_elsewhere();
    a_page_says_how_much_may_wait();
}

fn every_delivery_has_an_arrow_and_every_fault_a_span(seed: u64) {
    let plan = generate(seed, &Profile::default());
    let history = run(&plan).history;
    let is_delivery = |event: &Event| matches!(event, Event::Delivered { .. });
    let deliveries = history.entries().iter().filter(|it| is_delivery(&it.event)).count();
    let page = page(&plan, &history, None, "again");
    assert_eq!(page.matches("class=\"arrow delivery r").count(), deliveries, "seed {seed}");
    let lines: usize = plan.faults.iter().map(|fault| fault.kind.clients().len().max(1)).sum();
    let diagram = page.split("id=\"diagram\"").nth(1).expect("there is a diagram");
    assert_eq!(diagram.matches("class=\"span ").count(), lines, "seed {seed}");
}

fn names_and_commands_are_text_and_nothing_else() {
    let mut plan = generate(1, &Profile::default());
    for room in &mut plan.rooms {
        *room = format!("<b>\"{room}&");
    }
    let page = page(&plan, &run(&plan).history, None, "run '<i>'");
    assert!(!page.contains("<b>\"") && !page.contains("<i>"));
    assert!(page.contains("&lt;b&gt;&quot;") && page.contains("&#39;&lt;i&gt;&#39;"));
}

fn a_page_needs_nothing_from_elsewhere() {
    let plan = generate(2, &Profile::default());
    let page = page(&plan, &run(&plan).history, None, "again");
    let page = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!page.contains("http") && !page.contains(" src=") && !page.contains("@import"));
}

fn a_page_says_how_much_may_wait() {
    let mut plan = generate(3, &Profile::default());
    let mut says = |outbound, events_waiting_max, words: &str| {
        (plan.server.outbound, plan.server.events_waiting_max) = (outbound, events_waiting_max);
        let page = page(&plan, &History::default(), None, "again");
        assert!(page.contains(words), "{words}");
    };
    let outbound = |policy| Some(Outbound { packets_max: 12, bytes_max: 3_400, policy });
    let bounds = "12 packets of 3400 bytes may wait for a client";
    says(None, 0, "as much may wait for a client as usual</dd>");
    says(outbound(Policy::Disconnect), 0, &format!("{bounds}, at one more it is closed</dd>"));
    says(outbound(Policy::DropNewest), 1, &format!("{bounds}, one more is dropped; one event"));
    says(outbound(Policy::DropOldest), 4, "the oldest is dropped; 4 events of it may wait");
    says(None, 0, "or a client that reads slowly");
}
