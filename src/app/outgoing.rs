//! Listeners of all that is emitted in a namespace.
//!
//! They lie with the shard's state, so that every handle can find them.

use std::rc::Rc;

use crate::hub::NamespaceId;
use crate::shard::Core;

/// Hears of each emit of a namespace: the event as JSON, `["name",arg,..]`.
pub(super) type OnOutgoing = Rc<dyn Fn(&str)>;

/// The listeners of one namespace.
pub(super) struct Outgoing(pub(super) Vec<OnOutgoing>);

/// Tells the listeners what is about to be emitted.
pub(super) fn tell_outgoing(core: &Core, namespace: NamespaceId, json: &str) {
    if let Some(listeners) = core.attached().of_namespace::<Outgoing>(namespace) {
        listeners.0.iter().for_each(|listener| listener(json));
    }
}
