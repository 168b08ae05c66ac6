//! Leave-one-out by time: a user's last event is the test, the last but one the validation, all before are training.

use super::Dataset;
use std::ops::Range;

/// Which held-out event is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Validation,
    Test,
}

/// One user's share: indices into the event columns of the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSplit {
    /// User id, from 1.
    pub user: usize,
    pub train: Range<usize>,
    /// `None` for users with fewer than 3 events, who only train.
    pub validation: Option<usize>,
    pub test: Option<usize>,
}

impl UserSplit {
    pub fn target(&self, split: Split) -> Option<usize> {
        match split {
            Split::Validation => self.validation,
            Split::Test => self.test,
        }
    }

    /// The events that may be known when the target of `split` is predicted: all before it, or without a target all.
    pub fn history(&self, split: Split) -> Range<usize> {
        self.train.start..self.target(split).unwrap_or(self.train.end)
    }
}

/// The split of every user, computed when asked for: nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct LeaveOneOut<'a> {
    dataset: &'a Dataset,
}

pub fn leave_one_out(dataset: &Dataset) -> LeaveOneOut<'_> {
    LeaveOneOut { dataset }
}

impl LeaveOneOut<'_> {
    /// The split of user id `user` (from 1).
    ///
    /// # Panics
    /// If there is no such user.
    pub fn user(&self, user: usize) -> UserSplit {
        let events = self.dataset.events_of(user);
        if events.len() < 3 {
            return UserSplit { user, train: events, validation: None, test: None };
        }
        let (validation, test) = (events.end - 2, events.end - 1);
        UserSplit { user, train: events.start..validation, validation: Some(validation), test: Some(test) }
    }

    /// All users in the order of their ids.
    pub fn users(&self) -> impl ExactSizeIterator<Item = UserSplit> + '_ {
        (0..self.dataset.n_users()).map(|index| self.user(index + 1))
    }

    /// The users that have a target in `split`, with its event.
    pub fn targets(&self, split: Split) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.users().filter_map(move |user| user.target(split).map(|event| (user.user, event)))
    }
}
