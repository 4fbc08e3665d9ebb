//! A model's weights as one buffer of f32, in the order of llama2.c's version 0 without its rotary
//! tables: what is trained, and what conversions go through.

use crate::{Config, Role, llama2c::roles_before_tables};
use alloc::vec::Vec;
use core::ops::Range;

/// Where each tensor lies in the buffer; every matrix is row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    places: Vec<(Role, Range<usize>)>,
}

impl Layout {
    /// The layout of a model of this shape. `tied` says that the classifier is the embeddings; else
    /// it comes last.
    #[must_use]
    pub fn new(config: &Config, tied: bool) -> Self {
        let mut end = 0;
        let output = (!tied).then_some(Role::Output);
        let places = roles_before_tables(config.n_layers).chain(output).map(|role| {
            let (rows, cols) = role.shape(config);
            let start = end;
            end += rows * cols;
            (role, start..end)
        });
        Self { places: places.collect() }
    }

    /// Every tensor with the place of its weights, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Role, Range<usize>)> {
        self.places.iter().cloned()
    }

    /// The place of a tensor's weights, where the model has that tensor.
    #[must_use]
    pub fn range(&self, role: Role) -> Option<Range<usize>> {
        self.iter().find_map(|(other, range)| (other == role).then_some(range))
    }

    /// Number of weights.
    #[must_use]
    pub fn n_params(&self) -> usize {
        self.places.last().map_or(0, |(_, range)| range.end)
    }

    /// Whether the classifier is the embeddings.
    #[must_use]
    pub fn is_tied(&self) -> bool {
        self.range(Role::Output).is_none()
    }
}
