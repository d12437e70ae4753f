//! How many clients follow events at the same time: in all, and of one caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Name, Tenant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Caller;
use crate::problem::ApiError;

/// The places for clients that follow events.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    all_max: usize,
    of_caller_max: usize,
    taken: Mutex<HashMap<(Tenant, Name), usize>>,
}

/// One client's place, free again when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    who: (Tenant, Name),
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(all_max: usize, of_caller_max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all_max)),
            all_max,
            of_caller_max,
            taken: Mutex::default(),
        }
    }

    /// A place for `caller`, if there is one.
    pub(crate) fn take(self: &Arc<Self>, caller: &Caller) -> Result<Place, ApiError> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::TooMany {
            what: "clients of events",
            limit: self.all_max,
        })?;
        let who = (caller.tenant().clone(), caller.principal().clone());
        let mut taken = self.taken();
        let of_caller = taken.get(&who).copied().unwrap_or_default();
        if of_caller >= self.of_caller_max {
            return Err(ApiError::TooMany {
                what: "clients of events with the caller's name",
                limit: self.of_caller_max,
            });
        }
        taken.insert(who.clone(), of_caller + 1);
        drop(taken);
        Ok(Place {
            places: Arc::clone(self),
            who,
            _permit: permit,
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<(Tenant, Name), usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(of_caller) = taken.get_mut(&self.who) {
            *of_caller -= 1;
            if *of_caller == 0 {
                taken.remove(&self.who);
            }
        }
    }
}
