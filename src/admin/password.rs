//! Passwords, and how they are checked.

use std::fmt;
use std::str::FromStr;

use bcrypt::HashParts;

/// A cost of 15 takes seconds; one of 31, days.
const COST_MAX: u32 = 15;

/// A bcrypt hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Reads a hash such as `$2b$10$..`; none if it is no hash, or one whose
    /// cost is over 15: nobody would wait for that.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = HashParts::from_str(text).ok()?;
        (parts.get_cost() <= COST_MAX).then(|| Self(text.to_owned()))
    }

    /// As it was read.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this password's. Takes a tenth of a second or more: not for
    /// the thread of a shard.
    pub fn is_of(&self, password: &str) -> bool {
        // An error is about the hash, which has been looked at, or the password.
        bcrypt::verify(password, &self.0).unwrap_or(false)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the hash: a log is read by more people than a configuration.
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "secret", at the lowest cost.
    const SECRET: &str = "$2a$04$s6wa2z9Bs1dt.mllNxnq7ev5Ia5nZ0qfMWCs/tl2DVJnPSc5YXYde";

    #[test]
    fn a_hash_is_of_its_password_alone() {
        let hash = PasswordHash::parse(&bcrypt::hash("secret", 4).unwrap()).unwrap();
        assert!(hash.is_of("secret"));
        for wrong in ["", "Secret", "secret ", "secre\0"] {
            assert!(!hash.is_of(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_not_taken() {
        for cost in ["04", "10", "15"] {
            assert!(PasswordHash::parse(&SECRET.replace("04", cost)).is_some(), "{cost}");
        }
        for bad in ["", "secret", "$2b$10$short", &SECRET.replace("04", "16")] {
            assert!(PasswordHash::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_hash_is_in_a_log() {
        let hash = PasswordHash::parse(SECRET).unwrap();
        assert!(!format!("{hash:?}").contains("$2a$"), "{hash:?}");
    }
}
