//! What the application's side keeps with namespaces and sockets of the shard.
//!
//! The shard does not know what it is; it only keeps it where every handle can
//! find it, and lets go of what belongs to a socket that has gone.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::hub::{NamespaceId, SocketId};

/// Values by namespace and by socket.
#[derive(Default)]
pub struct Attached {
    /// By the number of their registration.
    namespaces: RefCell<BTreeMap<usize, Rc<dyn Any>>>,
    sockets: RefCell<BTreeMap<SocketId, Rc<dyn Any>>>,
}

impl Attached {
    /// What is kept with a namespace, if it is a `T`.
    pub fn of_namespace<T: 'static>(&self, namespace: NamespaceId) -> Option<Rc<T>> {
        let value = Rc::clone(self.namespaces.borrow().get(&namespace.template())?);
        value.downcast().ok()
    }

    /// Keeps something with a namespace, or with all that are made of a template.
    pub fn set_of_template(&self, template: usize, value: Rc<dyn Any>) {
        self.namespaces.borrow_mut().insert(template, value);
    }

    /// What is kept with a socket, if it is a `T`.
    pub fn of_socket<T: 'static>(&self, socket: SocketId) -> Option<Rc<T>> {
        let value = Rc::clone(self.sockets.borrow().get(&socket)?);
        value.downcast().ok()
    }

    /// What is kept with a socket; a `T` of its own if there is nothing yet.
    pub fn of_socket_or_default<T: Default + 'static>(&self, socket: SocketId) -> Rc<T> {
        self.of_socket(socket).unwrap_or_else(|| {
            let value: Rc<T> = Rc::default();
            self.sockets.borrow_mut().insert(socket, Rc::clone(&value) as Rc<dyn Any>);
            value
        })
    }

    /// Lets go of what is kept with a socket.
    pub fn forget(&self, socket: SocketId) {
        let value = self.sockets.borrow_mut().remove(&socket);
        // Not while the table is borrowed: it is the application's value.
        drop(value);
    }

    /// How many sockets something is kept with.
    pub fn sockets(&self) -> usize {
        self.sockets.borrow().len()
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("sockets", &self.sockets()).finish_non_exhaustive()
    }
}
