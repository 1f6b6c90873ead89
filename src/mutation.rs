//! For property tests: valid bytes, damaged a little. Random bytes alone are
//! refused at once and never reach what lies deeper in a decoder.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// At least so many cases of each property, or as many as `PROPTEST_CASES` asks for.
pub(crate) fn cases_min(least: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(least), ..config }
}

/// One damage to some bytes.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Copy(Index, Index, Index),
    Insert(Index, u8),
    Remove(Index, Index),
    Set(Index, u8),
}

/// Up to four mutations; none at all is likely enough to be useful.
pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<Index>;
    // Half of the bytes are such that mean something to one of the decoders.
    let byte = || {
        let telling = b"\"\\{}[],:0123456789-+.eEtrufalsn_ /\n\x00\x7e\x7f\x80\x81\x89\xff";
        prop_oneof![any::<u8>(), proptest::sample::select(telling)]
    };
    vec(
        prop_oneof![
            (at(), at(), at()).prop_map(|(from, to, target)| Mutation::Copy(from, to, target)),
            (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
            (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
            (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        ],
        0..5,
    )
}

/// Applies `mutations` to `bytes` one after the other.
pub(crate) fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for mutation in mutations {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(len), to.index(len));
            from.min(to)..from.max(to)
        };
        match mutation {
            Mutation::Copy(from, to, target) => {
                let copy = bytes[range(from, to)].to_vec();
                let target = target.index(len);
                bytes.splice(target..target, copy);
            }
            Mutation::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Mutation::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
        }
    }
}

/// Applies `mutations` to `text`; what is then no UTF-8 is replaced.
pub(crate) fn mutate_text(text: &str, mutations: &[Mutation]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mutate(&mut bytes, mutations);
    String::from_utf8_lossy(&bytes).into_owned()
}
