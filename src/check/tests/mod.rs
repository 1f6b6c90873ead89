//! The checkers are checked: by histories made by hand, by a reference server
//! that is correct, and by the same server with one thing broken.

mod broken;
mod correct;
mod histories;
mod memory;
mod network;
mod reference;
mod script;
