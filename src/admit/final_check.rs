//! The final check of a Deployment, after which no webhook can change it: a changed template is held, and a Deployment
//! that is not managed complies with the policy of its namespace.

use super::{
    deployment::{DeploymentRequest, Standing},
    examine::Examined,
    facts::{Fact, Facts, NOT_LOOKED_UP, Questions},
    hold::{TemplateChange, change, is_held},
    membership::{is_managed, may_be_managed},
    policy, rules,
};
use crate::{
    config::namespace::{Namespace, Settings},
    domain::{keys, review::Verdict},
    policy::Occasion,
};

/// See the module.
#[derive(Debug)]
pub struct FinalCheck<'a> {
    write: DeploymentRequest<'a>,
    namespace: Fact<Namespace>,
}

impl<'a> FinalCheck<'a> {
    pub(super) fn read(write: DeploymentRequest<'a>) -> Self {
        Self { write, namespace: Err(NOT_LOOKED_UP.to_owned()) }
    }

    pub(super) fn in_namespace(self, namespace: Fact<Namespace>) -> Self {
        Self { namespace, ..self }
    }

    pub(super) fn questions(&self) -> Questions {
        let write = &self.write;
        if write.standing == Standing::Managed {
            return Questions { adoptable: write.old.is_none(), ..Questions::default() };
        }
        let is_judged = policy::unmanaged_occasion(write).is_some();
        let may_be_managed = may_be_managed(write, &self.namespace);
        Questions {
            policy: self.namespace.as_ref().ok().filter(|_| is_judged).map(|found| found.labels().clone()),
            pair: is_judged || (may_be_managed && write.changes_template()),
            adoptable: may_be_managed && write.old.is_none(),
            ..Questions::default()
        }
    }

    pub(super) fn decide(&self, facts: &Facts) -> Result<Verdict, Verdict> {
        let write = &self.write;
        // The mutating webhook is not called for the creation of a Deployment without annotations, so nothing could hold
        // it.
        let is_unseen = write.old.is_none() && write.standing == Standing::Open;
        if is_managed(write, &self.namespace, facts)? && !is_unseen {
            self.check_hold(facts)
        } else {
            self.check_policy(facts)
        }
    }

    fn check_hold(&self, facts: &Facts) -> Result<Verdict, Verdict> {
        let write = &self.write;
        let settings = write.known(self.namespace.as_ref())?.settings(&write.new.annotations());
        let must_be_held = match change(write, &settings, facts)? {
            TemplateChange::Held => true,
            TemplateChange::Unchanged => write.before(keys::HELD).is_some(),
            TemplateChange::Native | TemplateChange::Restart => false,
        };
        if !must_be_held || is_held(write.new) {
            return Ok(Verdict::allow());
        }
        Err(Verdict::forbid(
            rules::HOLD,
            format!(
                "Deployment {:?}: the changed pod template is not held (spec.paused {}, {} {:?}): another admission webhook changed the object after Haldane's; exclude Deployments with the annotation {} from that webhook",
                write.review.name,
                write.new.is_paused(),
                keys::HELD,
                write.new.annotation(keys::HELD).unwrap_or_default(),
                keys::CANARY
            ),
        ))
    }

    fn check_policy(&self, facts: &Facts) -> Result<Verdict, Verdict> {
        let write = &self.write;
        let Some(mut occasion) = policy::unmanaged_occasion(write) else { return Ok(Verdict::allow()) };
        // A new Deployment is managed from its next release on.
        let will_be_managed =
            write.known(self.namespace.as_ref())?.opts_in() && write.standing == Standing::Open;
        let settings = Settings::default();
        if write.old.is_none() && will_be_managed && change(write, &settings, facts)? == TemplateChange::Held
        {
            occasion = Occasion::Takeover;
        }
        let report = policy::judge(write, occasion, will_be_managed, &settings, &Examined::default(), facts);
        if report.findings.is_empty() {
            Ok(report.allow(Vec::new()))
        } else {
            Err(report.refuse(&write.review.name))
        }
    }
}
