//! The refund agent, recorded against the refund model.

use super::env::{Ran, TestEnv, project};
use super::refund_model::RefundModel;

/// The model, and a store in which `refund.1` is a recording of the agent: ten steps.
pub struct Refund {
    pub model: RefundModel,
    pub env: TestEnv,
}

impl Refund {
    pub fn recorded() -> Refund {
        let refund = Refund::ready();
        refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
        std::fs::remove_file(refund.env.work().join("ran.log")).expect("tools were run");
        refund
    }

    /// Before anything is recorded.
    pub fn ready() -> Refund {
        let (model, mut env) = (RefundModel::start(), TestEnv::new());
        env.upstream(&model.origin());
        let agent =
            std::fs::read_to_string(project().join("tests/it/agents/plain_refund.py")).expect("the agent");
        env.file("agent.py", &agent);
        Refund { model, env }
    }

    #[track_caller]
    pub fn retake(&self, args: &[&str]) -> Ran {
        self.env.retake(args)
    }

    /// The tools that ran since the recording.
    pub fn ran(&self) -> String {
        std::fs::read_to_string(self.env.work().join("ran.log")).unwrap_or_default()
    }
}
