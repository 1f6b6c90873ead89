//! Why a connection ended.

use std::io;

use crate::engineio::payload::PayloadError;
use crate::websocket::{FrameError, HandshakeError, close_code};
use crate::{engineio, socketio};

use super::HttpError;

/// Why a connection ended, or an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// More bytes wait for the stream than it may keep waiting.
    #[error("more than {bytes_max} bytes wait to be sent")]
    BacklogFull {
        /// The limit.
        bytes_max: usize,
    },
    /// We closed it, gracefully.
    #[error("closed by us")]
    Client,
    /// The server did not answer the handshake or a CONNECT in time.
    #[error("no answer in time to the handshake or to CONNECT")]
    ConnectTimeout,
    /// There was no stream to begin with.
    #[error("no connection: {0}")]
    Dial(io::ErrorKind),
    /// Opening a stream took too long.
    #[error("no connection in time")]
    DialTimeout,
    /// We dropped the stream, without a word.
    #[error("dropped by us")]
    Dropped,
    /// The server closed the Engine.IO session.
    #[error("session closed by the server")]
    EngineClosed,
    /// The stream ended without the server's having closed anything.
    #[error("stream ended")]
    Eof,
    /// The server did not let us in.
    #[error("handshake: {0}")]
    Handshake(HandshakeError),
    /// A poll or a POST was not answered as it is to be: mostly the server knows the
    /// session no more.
    #[error("polling: {0}")]
    Http(HttpError),
    /// The stream failed.
    #[error("stream failed: {0}")]
    Io(io::ErrorKind),
    /// Nothing was heard of the server for longer than it promised.
    #[error("no ping in time")]
    PingTimeout,
    /// The server broke the protocol.
    #[error("protocol: {0}")]
    Protocol(Box<ProtocolError>),
    /// The server refused the last namespace that we wanted.
    #[error("refused by the server")]
    Refused,
    /// The server disconnected us from the last namespace that we were in.
    #[error("disconnected by the server")]
    ServerDisconnected,
    /// The server closed the WebSocket, with this code.
    #[error("WebSocket closed by the server, code {0:?}")]
    WebSocketClosed(Option<u16>),
}

impl CloseReason {
    /// The code of the close frame with which we end a connection for this reason.
    ///
    /// # Spec
    ///
    /// RFC 6455, section 7.4.1.
    pub fn close_code(&self) -> u16 {
        if let Self::Protocol(error) = self {
            error.close_code()
        } else {
            close_code::NORMAL_CLOSURE
        }
    }

    /// Whether somebody wanted this end, so that only a person or a program's own
    /// decision leads to another attempt; otherwise a client comes back by itself.
    ///
    /// As with socket.io-client, a server that has disconnected or refused us wants
    /// this too.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Client | Self::Refused | Self::ServerDisconnected)
    }
}

impl From<HttpError> for CloseReason {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(Box::new(error))
    }
}

/// How a server broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The answer to CONNECT carries no id; servers of Socket.IO v2 do that.
    #[error("answer to CONNECT without a sid")]
    ConnectData,
    /// A second answer to CONNECT.
    #[error("second answer to CONNECT for {0:?}")]
    ConnectTwice(String),
    /// Too much sent into a namespace before its CONNECT was answered.
    #[error("more than {events_max} events or {bytes_max} bytes before the answer to CONNECT")]
    EarlyEvents {
        /// The limit on their number.
        events_max: usize,
        /// The limit on their bytes.
        bytes_max: usize,
    },
    /// Not an Engine.IO packet.
    #[error(transparent)]
    Engine(#[from] engineio::DecodeError),
    /// Not a WebSocket frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A packet before the session was open.
    #[error("packet before the session was open")]
    NotOpen,
    /// A second open packet.
    #[error("second open packet")]
    OpenTwice,
    /// Not a Socket.IO packet.
    #[error(transparent)]
    Packet(#[from] socketio::DecodeError),
    /// Not a payload of packets.
    #[error("payload: {0}")]
    Payload(#[from] PayloadError),
    /// A packet for a namespace that we never asked for.
    #[error("packet for the namespace {0:?}, which was not asked for")]
    UnknownNamespace(String),
    /// An Engine.IO packet that only clients send.
    #[error("packet that only clients send")]
    WrongDirection,
}

impl ProtocolError {
    /// The code of the close frame that answers this error.
    ///
    /// # Spec
    ///
    /// RFC 6455, section 7.4.1.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Frame(error) => error.close_code(),
            Self::EarlyEvents { .. } | Self::Packet(socketio::DecodeError::TooLong { .. }) => {
                close_code::MESSAGE_TOO_BIG
            }
            Self::ConnectData
            | Self::ConnectTwice(_)
            | Self::Engine(_)
            | Self::NotOpen
            | Self::OpenTwice
            | Self::Packet(_)
            | Self::Payload(_)
            | Self::UnknownNamespace(_)
            | Self::WrongDirection => close_code::PROTOCOL_ERROR,
        }
    }
}
