//! The built-in chat, which proves the engine: its swarm, its server, its judges.

use std::rc::Rc;

use parlor::chat;

use crate::application::Subject;
use crate::coverage::Situation;
use crate::foreign::Program;
use crate::history::History;
use crate::judge::{Judgement, judge};
use crate::plan::{Namespace, Plan};
use crate::swarm::{Profile, generate};

/// parlor's own chat.
#[derive(Clone, Copy, Debug)]
pub struct Chat;

impl Subject for Chat {
    fn application(&self) -> Option<&str> {
        None
    }

    fn command(&self) -> String {
        "cargo run --release -p sim --".to_owned()
    }

    fn judge(&self, plan: &Plan, history: &History) -> Judgement {
        judge(plan, history)
    }

    fn plan(&self, seed: u64, profile: &Profile) -> Plan {
        generate(seed, profile)
    }

    fn program(&self) -> Program {
        let app = |start| {
            chat::app(
                Namespace::ALL.map(|it| it.path().to_owned()).to_vec(),
                format!("start-{start}"),
            )
        };
        Program::Parlor(Box::new(move |start| Rc::new(app(start))))
    }

    fn situations(&self) -> &'static [Situation] {
        &Situation::ALL
    }
}
