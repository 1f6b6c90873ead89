//! The namespaces that clients of the chat are in.

use serde::{Deserialize, Serialize};

/// A namespace of the chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// The one that every server has.
    #[default]
    Root,
    /// Another one, with rooms of the same names.
    Side,
}

impl Namespace {
    /// Every namespace.
    pub const ALL: [Self; 2] = [Self::Root, Self::Side];

    /// What it is called on the wire.
    pub fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Side => "/side",
        }
    }

    /// What histories call a room of it: a name has a meaning only in its namespace.
    pub fn qualified(self, room: &str) -> String {
        match self {
            Self::Root => room.to_owned(),
            Self::Side => format!("{room} of {}", self.path()),
        }
    }

    /// The namespace of a room, by what histories call it.
    pub fn of(qualified: &str) -> Self {
        match qualified.rsplit_once(" of ") {
            Some((_, path)) if path == Self::Side.path() => Self::Side,
            _ => Self::Root,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualified_name_tells_its_namespace() {
        for namespace in Namespace::ALL {
            for room in ["a", "room of one", "日本語", ""] {
                assert_eq!(Namespace::of(&namespace.qualified(room)), namespace, "{room:?}");
            }
        }
    }
}
