//! What plain clients need to speak to a server with TLS.
//!
//! A [`Tunnel`] listens without TLS and passes all on: so every client and
//! script of these tests can be used over TLS.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rcgen::CertifiedKey;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::PATIENCE;

/// Files with a certificate and its key.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// Files of these names, with nothing in them yet.
    pub(crate) fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        Self {
            certificate: folder.join(format!("{name}.wire.certificate.pem")),
            key: folder.join(format!("{name}.wire.key.pem")),
        }
    }

    /// Writes a new certificate and its key; returns the certificate.
    pub(crate) fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let CertifiedKey { cert, signing_key } = made.expect("a certificate is made");
        self.write(&cert.pem(), &signing_key.serialize_pem());
        cert.der().clone()
    }

    pub(crate) fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.certificate, certificate).expect("the folder can be written to");
        std::fs::write(&self.key, key).expect("the folder can be written to");
    }

    /// The flags that name them.
    pub(crate) fn flags(&self) -> [&str; 4] {
        [
            "--tls-certificate",
            self.certificate.to_str().expect("its name is text"),
            "--tls-key",
            self.key.to_str().expect("its name is text"),
        ]
    }
}

/// A client that trusts these certificates alone and offers these protocols.
pub(crate) fn client(trusted: &[CertificateDer<'static>], protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).expect("the certificate can be trusted");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for every version");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A connection of such a client; its handshake is done or has failed.
pub(crate) fn connect(
    server: SocketAddr,
    client: Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = "localhost".try_into().expect("it is a name");
    let mut connection = ClientConnection::new(client, name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Listens without TLS, and passes what is said to a server with it. Runs
/// until the tests end.
pub(crate) fn tunnel(server: SocketAddr, client: Arc<ClientConfig>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("it can be set");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let listening = async {
            let listener = TcpListener::from_std(listener).expect("it is ready for a runtime");
            while let Ok((plain, _)) = listener.accept().await {
                // What goes wrong is seen at the plain end.
                spawn_local(pass(plain, server, Arc::clone(&client)));
            }
        };
        LocalSet::new().block_on(&runtime.expect("a runtime"), listening);
    });
    address
}

async fn pass(
    mut plain: tokio::net::TcpStream,
    server: SocketAddr,
    client: Arc<ClientConfig>,
) -> io::Result<()> {
    plain.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = "localhost".try_into().expect("it is a name");
    let mut secret = TlsConnector::from(client).connect(name, stream).await?;
    tokio::io::copy_bidirectional(&mut plain, &mut secret).await?;
    Ok(())
}
