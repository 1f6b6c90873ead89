//! An application that uses every feature. What it does with each of them is
//! said by its clients, and told to them.
//!
//! Each group of features has a namespace of its own, with its own home shard.

mod acks;
mod binary;
mod ending;
mod guarded;
mod listening;
mod order;
mod words;

use std::sync::mpsc::SyncSender;

use parlor::Io;
use parlor::app::Handle;

/// The application; its sockets say farewell to `farewell`, and each shard gives
/// a handle to `handles`.
pub(crate) fn app(
    farewell: SyncSender<String>,
    handles: SyncSender<Handle>,
) -> impl Fn(&mut Io) + Clone + Send + 'static {
    move |io| {
        for (name, extras) in [
            ("/", words::between_shards as fn(&mut parlor::Namespace)),
            ("/guarded", guarded::admissions),
            ("/filtered", guarded::filters),
            ("/listening", listening::listeners),
            ("/acks", acks::questions),
            ("/binary", binary::attachments),
            ("/order", order::mixtures),
        ] {
            let namespace = io.of(name);
            words::everywhere(namespace);
            extras(namespace);
        }
        words::everywhere(io.of_pattern("/room-*"));
        words::everywhere(io.of_matching(|name, auth| {
            name.strip_prefix("/locked-").is_some_and(|name| auth["key"] == name)
        }));
        let ending = io.of("/ending");
        words::everywhere(ending);
        ending::farewells(ending, farewell.clone());
        handles.send(io.handle()).expect("the test waits for it");
    }
}
