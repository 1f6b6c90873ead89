//! The settings as the program needs them: nothing is left to parse.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use parlor::Config;
use parlor::admin::{AdminConfig, Mode, PasswordHash};
use parlor::hub::Recovery;
use parlor::server::{Cors, Origins};
use parlor::tls::Identity;

use super::error::SettingsError;

/// Everything that the program can be told.
#[derive(Clone)]
pub(crate) struct Options {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// Namespaces with the chat, besides `/`.
    pub(crate) namespace: Vec<String>,
    /// Threads; none given means one for each core.
    pub(crate) shards: Option<u8>,
    /// Whether another process may listen on the same address.
    pub(crate) share_address: bool,
    /// Sites whose pages may use long-polling.
    pub(crate) cors: Sites,
    /// Where metrics and health are served, if they are.
    pub(crate) metrics: Option<SocketAddr>,
    /// Who may connect with the Admin UI, and what they see.
    pub(crate) admin: Operators,
    /// Whether clients can come back to their sessions.
    pub(crate) recovery: Sessions,
    /// What the server shows who it is with.
    pub(crate) tls: Tls,
    /// What browsers get.
    pub(crate) page: Page,
    /// What is logged and how.
    pub(crate) log: Log,
    /// The engine's own settings; the others of them are here already.
    pub(crate) engine: Config,
}

/// Sites whose pages may use long-polling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites {
    /// Each as browsers write it; `*` is every site.
    pub(crate) origin: Vec<String>,
    /// Whether they may send cookies.
    pub(crate) credentials: bool,
}

/// Who may connect with the Admin UI, and what they see.
#[derive(Clone, Debug)]
pub(crate) struct Operators {
    /// The name to log in with.
    pub(crate) username: String,
    /// Of the password; none is set: nobody may.
    pub(crate) password_hash: Option<PasswordHash>,
    /// How much they see.
    pub(crate) mode: Mode,
    /// Whether they may only look.
    pub(crate) read_only: bool,
}

/// Whether clients can come back to their sessions, and how much is kept for that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sessions {
    /// Whether they can.
    pub(crate) enabled: bool,
    /// How much is kept.
    pub(crate) limits: Recovery,
}

/// The files with what the server shows who it is with; without them it speaks no TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// The certificate, and those that vouch for it.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
}

/// What browsers get.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Whether there is a chat page.
    pub(crate) enabled: bool,
    /// The file that is served as the stock client.
    pub(crate) client_script: Option<PathBuf>,
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Directives as tracing's filter takes them.
    pub(crate) filter: String,
    /// How a line looks.
    pub(crate) format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object, for machines.
    Json,
    /// For people.
    Text,
}

/// Ten thousand clients come back as two thousand in a second; and with
/// `close_timeout` it is over before `docker stop`, the most impatient of
/// supervisors, kills after ten seconds. Who embeds the engine has a life of its
/// own to end, and says how long that may take: there it is zero.
const DRAIN_WINDOW: Duration = Duration::from_secs(5);

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 3000).into(),
            namespace: Vec::new(),
            shards: None,
            share_address: false,
            cors: Sites::default(),
            metrics: None,
            admin: Operators {
                username: "admin".to_owned(),
                password_hash: None,
                mode: Mode::Production,
                read_only: false,
            },
            recovery: Sessions::default(),
            tls: Tls::default(),
            page: Page { enabled: true, client_script: None },
            log: Log { filter: "info".to_owned(), format: LogFormat::Text },
            engine: Config { drain_window: DRAIN_WINDOW, ..Config::default() },
        }
    }
}

impl Options {
    /// What the engine is to be like.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config { cors: self.cors.rules(), ..self.engine.clone() };
        config.limits.recovery = self.recovery.enabled.then_some(self.recovery.limits);
        config
    }

    /// The operators' namespace, if there is to be one.
    pub(crate) fn admin(&self) -> Option<AdminConfig> {
        let Operators { username, password_hash, mode, read_only } = self.admin.clone();
        let config = AdminConfig::new(username, password_hash?);
        Some(AdminConfig { mode, read_only, ..config })
    }

    /// How many threads share the connections.
    pub(crate) fn shards(&self) -> u8 {
        self.shards.unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            u8::try_from(cores).unwrap_or(u8::MAX)
        })
    }

    /// Every namespace with the chat, each once.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let mut all = vec!["/".to_owned()];
        for name in &self.namespace {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all
    }
}

impl Sites {
    /// Nobody, if nobody is named. Browsers send no cookies to who lets everybody in.
    fn rules(&self) -> Option<Cors> {
        let is_any = self.origin.iter().any(|origin| origin == "*");
        let origins = if is_any { Origins::Any } else { Origins::These(self.origin.clone()) };
        let credentials = self.credentials && !is_any;
        (!self.origin.is_empty()).then_some(Cors { origins, credentials })
    }
}

impl Tls {
    /// What the files have in them now; none, if there are none.
    ///
    /// # Errors
    ///
    /// One of the two is missing, or they are of no use.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, SettingsError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(SettingsError::HalfOfTls("tls.certificate")),
            (Some(_), None) => Err(SettingsError::HalfOfTls("tls.key")),
            (Some(certificate), Some(key)) => Ok(Some(Identity::read(certificate, key)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_served_once_however_often_it_is_named() {
        let namespace = ["/b", "/", "/a", "/b"].map(str::to_owned).to_vec();
        let options = Options { namespace, ..Options::default() };
        assert_eq!(options.namespaces(), ["/", "/b", "/a"]);
    }

    #[test]
    fn there_is_a_shard_for_each_core_unless_told() {
        let mut options = Options::default();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        assert_eq!(usize::from(options.shards()), cores.min(255));
        options.shards = Some(7);
        assert_eq!(options.shards(), 7);
    }
}
