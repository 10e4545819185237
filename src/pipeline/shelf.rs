//! Models that share a limit on the device's memory: the least recently used makes room.

use super::plans::Plans;
use crate::error::{Error, Result};
use crate::gpu::Uploaded;
use crate::lock::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

/// The models of one limit. It holds none of them: a model leaves the device with its last handle too.
#[derive(Debug)]
pub(super) struct Shelf {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Option<u64>,
    /// The most recently used last.
    models: Vec<Weak<Plans>>,
    claims: Vec<Claimed>,
    /// Of the next claim.
    number: u64,
}

/// What a run or an upload takes.
#[derive(Debug)]
struct Claimed {
    number: u64,
    users: Vec<Arc<Plans>>,
    bytes: u64,
}

/// Memory for a run or an upload, whose models stay on the device meanwhile; free again on drop.
#[derive(Debug)]
pub(super) struct Claim {
    shelf: Arc<Shelf>,
    number: u64,
}

impl Shelf {
    /// No model yet, under a limit, if there is one.
    pub(super) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                limit,
                models: Vec::new(),
                claims: Vec::new(),
                number: 0,
            }),
        })
    }

    /// Another limit for all models, from their next run on.
    pub(super) fn set_limit(&self, limit: u64) {
        lock(&self.state).limit = Some(limit);
    }

    /// The limit of all models.
    pub(super) fn limit(&self) -> Option<u64> {
        lock(&self.state).limit
    }

    /// Takes a model in, as the most recently used one.
    pub(super) fn add(&self, model: &Arc<Plans>) {
        lock(&self.state).touch(model);
    }

    /// What runs of other models leave of the limit, if there is one.
    pub(super) fn left_for(&self, users: &[&Arc<Plans>]) -> Option<u64> {
        let state = lock(&self.state);
        let limit = state.limit?;
        Some(limit.saturating_sub(state.claimed_by_others(users)))
    }

    /// Takes memory for models, which are the most recently used ones then. Of the others those that are
    /// not in use let go what has to go: first all that they computed with, then weights, the least
    /// recently used model first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if runs of others leave too little.
    pub(super) fn claim(self: &Arc<Self>, users: &[&Arc<Plans>], bytes: u64) -> Result<Claim> {
        let mut state = lock(&self.state);
        for model in users {
            state.touch(model);
        }
        if let Some(limit) = state.limit {
            let claimed = state.claimed_by_others(users);
            if claimed > 0 && claimed + bytes > limit {
                return Err(Error::OutOfMemory {
                    what: "making room beside runs of other models".into(),
                    needed_bytes: Some(bytes),
                    available_bytes: Some(limit.saturating_sub(claimed)),
                });
            }
            state.make_room(users, limit.saturating_sub(claimed + bytes));
        }
        state.number += 1;
        let number = state.number;
        state.claims.push(Claimed {
            number,
            users: users.iter().map(|&model| Arc::clone(model)).collect(),
            bytes,
        });
        Ok(Claim {
            shelf: Arc::clone(self),
            number,
        })
    }
}

impl State {
    fn touch(&mut self, model: &Arc<Plans>) {
        self.models.retain(|known| {
            known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Arc::as_ptr(model))
        });
        self.models.push(Arc::downgrade(model));
    }

    /// What other models are at work in. Several runs of one model share its weights: the one that takes
    /// most counts.
    fn claimed_by_others(&self, users: &[&Arc<Plans>]) -> u64 {
        let mut most = HashMap::new();
        for claim in self.claims.iter().filter(|claim| !claim.is_of(users)) {
            let bytes = most.entry(Arc::as_ptr(&claim.users[0])).or_insert(0);
            *bytes = claim.bytes.max(*bytes);
        }
        most.into_values().sum()
    }

    /// Lets what is idle beside `users` go until it is at most `bytes`.
    fn make_room(&self, users: &[&Arc<Plans>], bytes: u64) {
        let idle = self.models.iter().filter_map(Weak::upgrade);
        let idle: Vec<_> = idle
            .filter(|model| !users.iter().any(|user| Arc::ptr_eq(user, model)))
            .filter(|model| !self.claims.iter().any(|claim| claim.is_of(&[model])))
            .collect();
        let held = users.iter().flat_map(|user| user.uploads());
        let held: Vec<_> = held.map(|weight| Arc::as_ptr(&weight)).collect();
        for release in [Plans::release_runners, Plans::release_all] {
            for model in &idle {
                if on_device(&idle, &held) <= bytes {
                    return;
                }
                release(model);
            }
        }
    }
}

impl Claimed {
    fn is_of(&self, models: &[&Arc<Plans>]) -> bool {
        let mut users = self.users.iter();
        users.any(|user| models.iter().any(|model| Arc::ptr_eq(user, model)))
    }
}

/// What idle models have on the device, each weight counted once, without those that are held anyway.
fn on_device(models: &[Arc<Plans>], held: &[*const Uploaded]) -> u64 {
    let weights = models.iter().flat_map(|model| model.uploads());
    let weights: HashMap<_, _> = weights
        .map(|weight| (Arc::as_ptr(&weight), weight.bytes))
        .filter(|(weight, _)| !held.contains(weight))
        .collect();
    let runners = models.iter().map(|model| model.runner_bytes());
    weights.into_values().sum::<u64>() + runners.sum::<u64>()
}

impl Drop for Claim {
    fn drop(&mut self) {
        let number = self.number;
        let mut state = lock(&self.shelf.state);
        let over = state.claims.iter().position(|claim| claim.number == number);
        let over = over.map(|at| state.claims.swap_remove(at));
        drop(state);
        // The last handle of a model may go with it, and what that takes down is nobody's business here.
        drop(over);
    }
}
