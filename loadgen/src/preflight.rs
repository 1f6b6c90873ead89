//! What this machine allows, checked before the first client connects.

use std::ops::RangeInclusive;

use parlor::client::Transport;
use parlor::net::raise_descriptor_limit;

use crate::fleet::CONNECTING_MAX;
use crate::transport::Mix;

/// Descriptors that are not clients: standard streams, the runtimes' own,
/// timers, the embedded server's pipes, the report.
const DESCRIPTORS_SPARE: u64 = 64;

/// Where Linux says which ports a client may come from.
const PORT_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Why this machine cannot carry so many clients, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PreflightError {
    #[error(
        "{clients} clients need {needed} file descriptors, and {allowed} are allowed; run `ulimit -n {needed}` \
             (or raise LimitNOFILE or /etc/security/limits.conf), or ask for --clients {possible}"
    )]
    Descriptors { clients: u32, needed: u64, allowed: u64, possible: u64 },
    #[error(
        "{clients} clients need {needed} local ports, and {range:?} are {ports} for one server address; run \
             `sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`, or ask for --clients {possible}"
    )]
    Ports { clients: u32, needed: u64, range: RangeInclusive<u16>, ports: u32, possible: u64 },
}

/// Raises the limit on descriptors as far as it may be, and checks that
/// descriptors and local ports suffice.
///
/// # Errors
///
/// [`PreflightError`] says what to do.
pub(crate) fn check(clients: u32, transport: &Mix) -> Result<(), PreflightError> {
    let streams = Streams::of(transport);
    descriptors_suffice(clients, streams, raise_descriptor_limit())?;
    let range =
        std::fs::read_to_string(PORT_RANGE_FILE).ok().and_then(|text| parse_port_range(&text));
    range.map_or(Ok(()), |range| ports_suffice(clients, streams, range))
}

/// The most streams that clients have at a time.
#[derive(Clone, Copy, Debug)]
struct Streams {
    per_client: u32,
    /// Those of clients that are on their way from polling to a WebSocket.
    passing: u32,
}

impl Streams {
    fn of(transport: &Mix) -> Self {
        Self {
            // One for the GET, and one for POSTs.
            per_client: if transport.has(Transport::Polling) { 2 } else { 1 },
            passing: if transport.has(Transport::PollingThenUpgrade) {
                2 * CONNECTING_MAX
            } else {
                0
            },
        }
    }

    fn needed(self, clients: u32) -> u64 {
        u64::from(clients) * u64::from(self.per_client) + u64::from(self.passing)
    }

    /// How many clients can do with these.
    fn possible(self, streams: u64) -> u64 {
        streams.saturating_sub(u64::from(self.passing)) / u64::from(self.per_client)
    }
}

/// `None` is no limit.
fn descriptors_suffice(
    clients: u32,
    streams: Streams,
    allowed: Option<u64>,
) -> Result<(), PreflightError> {
    let needed = streams.needed(clients) + DESCRIPTORS_SPARE;
    match allowed {
        Some(allowed) if allowed < needed => {
            let possible = streams.possible(allowed.saturating_sub(DESCRIPTORS_SPARE));
            Err(PreflightError::Descriptors { clients, needed, allowed, possible })
        }
        _ => Ok(()),
    }
}

fn ports_suffice(
    clients: u32,
    streams: Streams,
    range: RangeInclusive<u16>,
) -> Result<(), PreflightError> {
    let (needed, ports) = (streams.needed(clients), range.len() as u32);
    if needed > u64::from(ports) {
        let possible = streams.possible(ports.into());
        return Err(PreflightError::Ports { clients, needed, range, ports, possible });
    }
    Ok(())
}

fn parse_port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(mix: &str) -> Streams {
        Streams::of(&mix.parse().unwrap())
    }

    #[test]
    fn descriptors_are_enough_up_to_the_last_one() {
        let streams = streams("websocket");
        assert_eq!(descriptors_suffice(10_000, streams, Some(10_064)), Ok(()));
        assert_eq!(descriptors_suffice(10_000, streams, None), Ok(()));
        let error = descriptors_suffice(10_001, streams, Some(10_064)).unwrap_err();
        assert!(
            error.to_string().contains("ulimit -n 10065")
                && error.to_string().contains("--clients 10000")
        );
        assert!(descriptors_suffice(1, streams, Some(10)).is_err());
    }

    #[test]
    fn who_polls_needs_two_streams_and_who_upgrades_more_only_meanwhile() {
        for (mix, needed) in [
            ("websocket", 10_064),
            ("polling", 20_064),
            ("upgrade", 10_576),
            ("websocket=1,polling=1,upgrade=8", 20_576),
        ] {
            assert_eq!(descriptors_suffice(10_000, streams(mix), Some(needed)), Ok(()), "{mix}");
            let error = descriptors_suffice(10_000, streams(mix), Some(needed - 1)).unwrap_err();
            assert!(error.to_string().contains("ask for --clients 9999"), "{error}");
        }
    }

    #[test]
    fn ports_are_enough_up_to_the_last_one() {
        let range = parse_port_range("32768\t60999\n").unwrap();
        assert_eq!(ports_suffice(14_116, streams("polling"), range.clone()), Ok(()));
        assert!(ports_suffice(14_117, streams("polling"), range.clone()).is_err());
        assert_eq!(ports_suffice(28_232, streams("websocket"), range.clone()), Ok(()));
        let error = ports_suffice(28_233, streams("websocket"), range).unwrap_err();
        assert!(error.to_string().contains("--clients 28232"), "{error}");
    }

    #[test]
    fn odd_port_ranges_are_not_guessed_at() {
        for text in ["", "1", "a b", "1 70000"] {
            assert_eq!(parse_port_range(text), None, "{text:?}");
        }
    }
}
