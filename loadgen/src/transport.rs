//! How clients' packets travel, and which client's how: one way, or a mix by weight.

use std::fmt;
use std::str::FromStr;

use parlor::client::Transport;

/// The words that are typed.
const NAMES: [(&str, Transport); 3] = [
    ("websocket", Transport::WebSocket),
    ("polling", Transport::Polling),
    ("upgrade", Transport::PollingThenUpgrade),
];

/// A client in so many is the rarest there can be.
const WEIGHT_MAX: u32 = 1_000_000;

/// How many clients in each round have which transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix(Vec<(Transport, u32)>);

impl Mix {
    /// The transport of a client. Rooms are dealt at random, so each has its share.
    pub(crate) fn of(&self, client: u32) -> Transport {
        let total: u32 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut place = client % total;
        for &(transport, weight) in &self.0 {
            if place < weight {
                return transport;
            }
            place -= weight;
        }
        unreachable!("a place is less than all weights together")
    }

    /// Whether a client of this mix has this transport.
    pub(crate) fn has(&self, transport: Transport) -> bool {
        self.0.iter().any(|&(has, _)| has == transport)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mix: Vec<(Transport, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let known = NAMES.iter().find(|(known, _)| *known == name);
            let weight = weight.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
            match (known, weight) {
                (Some(&(_, transport)), Some(weight))
                    if mix.iter().all(|&(has, _)| has != transport) =>
                {
                    mix.push((transport, weight));
                }
                _ => {
                    return Err("write websocket, polling or upgrade, or a mix such as \
                                websocket=1,polling=1,upgrade=8"
                        .to_owned());
                }
            }
        }
        Ok(Self(mix))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_mix = self.0.len() > 1;
        for (place, (transport, weight)) in self.0.iter().enumerate() {
            let known = NAMES.iter().find(|(_, known)| known == transport);
            let (name, _) = known.expect("every transport has a name");
            f.write_str(if place > 0 { "," } else { "" })?;
            f.write_str(name)?;
            if is_mix {
                write!(f, "={weight}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_read_and_written_as_people_type_them() {
        for text in ["websocket", "polling", "upgrade", "websocket=1,polling=1,upgrade=8"] {
            assert_eq!(text.parse::<Mix>().unwrap().to_string(), text);
        }
        assert_eq!("upgrade=3".parse::<Mix>().unwrap().to_string(), "upgrade");
        assert_eq!("polling,upgrade=1000000".parse::<Mix>().map(|mix| mix.0.len()), Ok(2));
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for text in [
            "",
            "tcp",
            "websocket=0",
            "polling=1000001",
            "polling=-1",
            "polling=1,polling=2",
            "websocket,",
            "upgrade=x",
        ] {
            assert!(text.parse::<Mix>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_round_of_clients_has_the_weights() {
        let mix: Mix = "websocket=1,polling=2,upgrade=7".parse().unwrap();
        for round in [0, 10, 4_294_967_280] {
            let count = |transport| {
                (round..round + 10).filter(|&client| mix.of(client) == transport).count()
            };
            assert_eq!(
                [Transport::WebSocket, Transport::Polling, Transport::PollingThenUpgrade]
                    .map(count),
                [1, 2, 7]
            );
        }
    }
}
