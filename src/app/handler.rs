//! Functions that handle events, in one shape for all.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::ack::Ack;
use super::args::{FromArgs, Raw};
use super::emit::Emitter;
use super::io::{Admission, Decision};
use super::socket::Socket;
use crate::hub::Reason;
use crate::socketio::Args;

/// A handler's run.
pub(super) type Run = Pin<Box<dyn Future<Output = ()>>>;

pub(super) type OnAdmission = Rc<dyn Fn(Admission) -> Decision>;
pub(super) type OnConnection = Rc<dyn Fn(Socket) -> Run>;
pub(super) type OnDisconnect = Rc<dyn Fn(Socket, Reason, Vec<Box<str>>) -> Run>;
pub(super) type OnEvent = Rc<dyn Fn(Socket, Args<'static>, Ack) -> Run>;
pub(super) type OnPacket = Rc<dyn Fn(Socket, Raw) -> Decision>;
pub(super) type OnServerSide = Box<dyn Fn(Emitter, Raw)>;

/// A function that handles events; see [`Namespace::on`](super::Namespace::on).
pub trait Handler<M>: 'static {
    /// The function in one shape for all.
    #[doc(hidden)]
    fn boxed(self) -> Rc<dyn Fn(Socket, Args<'static>, Ack) -> Run>;
}

impl<F, A> Handler<(A,)> for F
where
    F: AsyncFn(Socket, A) + 'static,
    A: FromArgs,
{
    fn boxed(self) -> OnEvent {
        Handler::boxed(async move |socket: Socket, args: A, _: Ack| self(socket, args).await)
    }
}

impl<F, A> Handler<(A, Ack)> for F
where
    F: AsyncFn(Socket, A, Ack) + 'static,
    A: FromArgs,
{
    fn boxed(self) -> OnEvent {
        let handler = Rc::new(self);
        Rc::new(move |socket, args, ack| {
            let handler = Rc::clone(&handler);
            Box::pin(async move {
                match A::parse(args) {
                    Ok(args) => handler(socket, args, ack).await,
                    Err(error) => ack.refuse(&error),
                }
            })
        })
    }
}
