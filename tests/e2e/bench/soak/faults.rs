//! What happens to the cluster meanwhile: every kind of fault, in random order, again and again.

use crate::harness::{Space, faults, haldane};
use serde_json::Value;
use std::time::Duration;

/// What fails, and how it comes back.
struct Fault {
    name: &'static str,
    /// It ends or replaces Haldane's processes. Only in the first half of a run: what a process uses shows
    /// when it lives for a while.
    is_haldanes: bool,
    strike: fn(&mut Stage<'_>),
}

/// What faults happen to.
struct Stage<'a> {
    space: &'a Space,
    names: &'a [String],
    random: &'a mut Random,
}

const fn fault(name: &'static str, strike: fn(&mut Stage<'_>)) -> Fault {
    Fault { name, is_haldanes: false, strike }
}

const fn haldanes(name: &'static str, strike: fn(&mut Stage<'_>)) -> Fault {
    Fault { name, is_haldanes: true, strike }
}

const FAULTS: &[Fault] = &[
    haldanes("the leader is killed", |_| drop(haldane::kill_leader())),
    haldanes("the replica that does not lead is killed", |_| drop(haldane::kill_follower())),
    haldanes("the leader is cut off from the API server until another leads", |_| {
        let (leader, _) = haldane::leader_process();
        let cut = faults::cut_off(&leader);
        haldane::another_leads(&leader);
        drop(cut);
    }),
    haldanes("the leader hangs until another leads", |_| {
        let (leader, process) = haldane::leader_process();
        let hung = faults::hang(&process);
        haldane::another_leads(&leader);
        drop(hung);
    }),
    fault("the API server is killed and started", |_| drop(faults::kill("apiserver"))),
    fault("etcd is killed and started", |_| drop(faults::kill("etcd"))),
    fault("the controller manager is killed and started", |_| drop(faults::kill("kcm"))),
    fault("the kubelet is killed and started", |_| drop(faults::kill("kubelet"))),
    fault("every request of Haldane's is answered with 429 for a moment", |_| drop(faults::throttle())),
    fault("Prometheus is replaced", |_| faults::replace_pods("monitoring", "prometheus", "app=prometheus")),
    fault("the ingress controller is replaced", |_| {
        let labels = "app.kubernetes.io/name=ingress-nginx";
        faults::replace_pods("ingress-nginx", "ingress-nginx-controller", labels);
    }),
    fault("a pod of a stable version is deleted", |stage| stage.delete_pod_beside("app=")),
    fault("a pod of a canary is deleted", |stage| stage.delete_pod_beside("haldane.dev/canary-of=")),
];

/// Between two faults, if the run is not shorter than one round of all of them.
const GAP: Duration = Duration::from_mins(1);

/// When which fault strikes, from a seed.
pub struct Schedule {
    random: Random,
    /// Those that are left of this round.
    deck: Vec<&'static Fault>,
    gap: Duration,
    next: Duration,
    half: Duration,
    /// What has struck, and when.
    pub struck: Vec<(Duration, &'static str)>,
}

impl Schedule {
    pub fn new(seed: u32, length: Duration) -> Self {
        let kinds = u32::try_from(FAULTS.len()).expect("few");
        let gap = GAP.min(length / (kinds + 1));
        let (random, deck) = (Random(u64::from(seed)), Vec::new());
        Self { random, deck, gap, next: gap / 2, half: length / 2, struck: Vec::new() }
    }

    /// Lets the next one strike when its time has come; that takes as long as it takes to come back.
    pub fn strike_if_due(&mut self, elapsed: Duration, space: &Space, names: &[String]) {
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + self.gap * (50 + self.random.below(101)) / 100;
        let fault = self.draw(elapsed);
        if fault.is_haldanes {
            // One replica at a time: what happens without both is another test's matter.
            haldane::is_complete();
        }
        eprintln!("[{:>4}s] {}", elapsed.as_secs(), fault.name);
        (fault.strike)(&mut Stage { space, names, random: &mut self.random });
        self.struck.push((elapsed, fault.name));
    }

    fn draw(&mut self, elapsed: Duration) -> &'static Fault {
        let is_due = |fault: &Fault| !fault.is_haldanes || elapsed < self.half;
        self.deck.retain(|fault| is_due(fault));
        if self.deck.is_empty() {
            self.deck = FAULTS.iter().filter(|fault| is_due(fault)).collect();
            for last in 1..self.deck.len() {
                let other = self.random.below(u32::try_from(last).expect("few") + 1);
                self.deck.swap(last, other as usize);
            }
        }
        self.deck.pop().expect("some need not be in the first half")
    }
}

impl Stage<'_> {
    /// Deletes a pod of a Deployment whose canary has traffic; nothing if there is none at the moment.
    fn delete_pod_beside(&mut self, label: &str) {
        let first = self.random.below(u32::try_from(self.names.len()).expect("few")) as usize;
        let in_turn = self.names.iter().cycle().skip(first).take(self.names.len());
        let at_step = |name: &&String| {
            let state = self.space.try_state(name).unwrap_or(Value::Null);
            state["rollout"]["stage"]["name"] == "step"
        };
        if let Some(name) = in_turn.into_iter().find(at_step) {
            let labels = format!("{label}{name}");
            self.space.kubectl(&["delete", "pod", "--wait=false", "--selector", &labels]).ok();
        }
    }
}

/// `SplitMix64`: the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).expect("below a u32")
    }
}
