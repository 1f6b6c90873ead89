//! Pages for those who write applications; there is no code here.
//!
//! What an application may rely on is in [`guarantees`]; who comes from another
//! server finds its words in [`socket_io`] and [`socketioxide`]. The examples on
//! these pages are compiled as tests, so that each call they name exists.

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("socket_io.md")]
pub mod socket_io {}

#[doc = include_str!("socketioxide.md")]
pub mod socketioxide {}
