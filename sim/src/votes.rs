//! Whether a plan fails, if two runs of it may differ.
//!
//! Parlor's runs do not differ, and one is enough. A server with randomness of its own can
//! fail now and then: what it did once may not happen again, and a shrinker that takes one
//! failure for an answer would end at a plan that hardly ever fails. So most of a few runs
//! must.

/// How many runs are asked at most.
pub const RUNS: usize = 5;

/// How many of them must fail.
pub const FAILING: usize = 3;

/// Runs by which a plan that is shown is measured.
pub(crate) const MEASURED: usize = 20;

/// Whether at least [`FAILING`] of [`RUNS`] runs fail. Asks no more often than it has to.
pub fn fails_mostly(mut fails: impl FnMut() -> bool) -> bool {
    let (mut failing, mut passing) = (0, 0);
    while failing < FAILING && passing <= RUNS - FAILING {
        if fails() {
            failing += 1;
        } else {
            passing += 1;
        }
    }
    failing == FAILING
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict over runs that fail as told, and how many were asked.
    fn verdict(fails: [bool; RUNS]) -> (bool, usize) {
        let mut asked = 0;
        let verdict = fails_mostly(|| {
            asked += 1;
            fails[asked - 1]
        });
        (verdict, asked)
    }

    #[test]
    fn three_of_five_must_fail_and_no_more_are_asked_than_decide() {
        const F: bool = true;
        const P: bool = false;
        for (fails, expected) in [
            ([F, F, F, P, P], (true, 3)),
            ([P, P, F, F, F], (true, 5)),
            ([F, P, F, P, F], (true, 5)),
            ([P, P, P, F, F], (false, 3)),
            ([F, F, P, P, P], (false, 5)),
        ] {
            assert_eq!(verdict(fails), expected, "{fails:?}");
        }
    }
}
