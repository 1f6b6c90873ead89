//! What this machine allows, checked before the first client connects.

use std::ops::RangeInclusive;

use parlor::net::raise_descriptor_limit;

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
        "{clients} clients need a local port each, and {range:?} are {ports} for one server address; run \
             `sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`, or ask for --clients {ports}"
    )]
    Ports { clients: u32, range: RangeInclusive<u16>, ports: u32 },
}

/// Raises the limit on descriptors as far as it may be, and checks that
/// descriptors and local ports suffice.
///
/// # Errors
///
/// [`PreflightError`] says what to do.
pub(crate) fn check(clients: u32) -> Result<(), PreflightError> {
    descriptors_suffice(clients, raise_descriptor_limit())?;
    let range =
        std::fs::read_to_string(PORT_RANGE_FILE).ok().and_then(|text| parse_port_range(&text));
    range.map_or(Ok(()), |range| ports_suffice(clients, range))
}

/// `None` is no limit.
fn descriptors_suffice(clients: u32, allowed: Option<u64>) -> Result<(), PreflightError> {
    let needed = u64::from(clients) + DESCRIPTORS_SPARE;
    match allowed {
        Some(allowed) if allowed < needed => {
            let possible = allowed.saturating_sub(DESCRIPTORS_SPARE);
            Err(PreflightError::Descriptors { clients, needed, allowed, possible })
        }
        _ => Ok(()),
    }
}

fn ports_suffice(clients: u32, range: RangeInclusive<u16>) -> Result<(), PreflightError> {
    let ports = range.len() as u32;
    if clients > ports {
        return Err(PreflightError::Ports { clients, range, ports });
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

    #[test]
    fn descriptors_are_enough_up_to_the_last_one() {
        assert_eq!(descriptors_suffice(10_000, Some(10_064)), Ok(()));
        assert_eq!(descriptors_suffice(10_000, None), Ok(()));
        let error = descriptors_suffice(10_001, Some(10_064)).unwrap_err();
        assert!(
            error.to_string().contains("ulimit -n 10065")
                && error.to_string().contains("--clients 10000")
        );
        assert!(descriptors_suffice(1, Some(10)).is_err());
    }

    #[test]
    fn ports_are_enough_up_to_the_last_one() {
        let range = parse_port_range("32768\t60999\n").unwrap();
        assert_eq!(ports_suffice(28_232, range.clone()), Ok(()));
        let error = ports_suffice(28_233, range).unwrap_err();
        assert!(error.to_string().contains("--clients 28232"), "{error}");
    }

    #[test]
    fn odd_port_ranges_are_not_guessed_at() {
        for text in ["", "1", "a b", "1 70000"] {
            assert_eq!(parse_port_range(text), None, "{text:?}");
        }
    }
}
