//! The pure hub against the model, whatever is done to it: every client hears what
//! the model says, word for word and deed by deed, and nothing is left when all have
//! gone. With one shard, and with several whose messages are all carried before the
//! next deed: the model knows of no shards.

#[path = "support/deeds.rs"]
mod deeds;

use deeds::{deed, perform};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Cases of each.
const CASES: u32 = 10_000;

/// At least so many cases, or as many as `PROPTEST_CASES` asks for.
fn cases_min(least: u32) -> Config {
    let asked = Config::default();
    Config { cases: asked.cases.max(least), ..asked }
}

proptest! {
    #![proptest_config(cases_min(CASES))]

    #[test]
    fn hub_does_what_the_model_says(deeds in vec(deed(), 1..160)) {
        perform(1, &deeds);
    }

    #[test]
    fn three_hubs_do_what_the_model_says(deeds in vec(deed(), 1..160)) {
        perform(3, &deeds);
    }
}
