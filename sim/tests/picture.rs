//! Pictures of runs: a binary of its own, since worlds run one at a time in a process.

use sim::history::Event;
use sim::picture::page;
use sim::run::run;
use sim::swarm::{Profile, generate};

#[test]
fn a_page_shows_all_that_happened_and_needs_nothing_else() {
    for seed in 0..6 {
        every_delivery_has_an_arrow_and_every_fault_a_span(seed);
    }
    names_and_commands_are_text_and_nothing_else();
    a_page_needs_nothing_from_elsewhere();
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
