//! Examples that are mixed before the backbone, as a view of them: what IP-Mixup trains on.
//!
//! Each view pairs every training image with another one of them and gives it a share of its own; both
//! follow from the run's seed and the view. Images that are read anew have a view per epoch
//! ([`MixedImages`]); cached maps have a few ([`crate::cache::mixtures`]).

use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::SliceRandom;
use sarb_labels::random::{Stream, beta, rng};

use super::examples::{ExampleKind, Examples, View};
use crate::Result;

/// The partner of an example, as its row, and the share that the example keeps.
pub type Mixture = (usize, f32);

/// Who is mixed with whom, how much, and from when on.
#[derive(Debug, Clone)]
pub struct MixtureDraw {
    /// The training rows; nobody else is mixed.
    pub rows: Vec<usize>,
    /// The run's seed.
    pub seed: u64,
    /// First epoch, from 0, whose augmented views are mixed.
    pub from_epoch: u64,
    /// a of the share's distribution Beta(a, a).
    pub concentration: u32,
}

impl MixtureDraw {
    /// Partner and share of every training row in a view, in the order of `rows`.
    pub fn of_view(&self, view: u64) -> Vec<Mixture> {
        let draws = |place: u64| rng(self.seed, Stream::MixedView, view, place);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.shuffle(&mut draws(u64::MAX));
        let mut mixtures = vec![(0, 1.0); order.len()];
        // The next in a circle: nobody is its own partner, unless it is alone.
        for (place, &index) in order.iter().enumerate() {
            let partner = self.rows[order[(place + 1) % order.len()]];
            let kept = beta(self.concentration, &mut draws(self.rows[index] as u64));
            mixtures[index] = (partner, kept);
        }
        mixtures
    }

    /// Place of a row among the training rows, if this view of it is mixed.
    pub fn place(&self, row: usize, view: View) -> Option<usize> {
        match view {
            View::Augmented { epoch, .. } if epoch >= self.from_epoch => self.rows.binary_search(&row).ok(),
            _ => None,
        }
    }
}

/// Images that are read anew in each epoch, mixed pixel by pixel.
pub struct MixedImages {
    images: Arc<dyn Examples>,
    draw: MixtureDraw,
    /// The mixtures of the epoch that is being read.
    current: Mutex<Option<(u64, Arc<Vec<Mixture>>)>>,
}

impl MixedImages {
    /// Mixes the augmented views of `images`.
    pub fn new(images: Arc<dyn Examples>, draw: MixtureDraw) -> Self {
        Self { images, draw, current: Mutex::new(None) }
    }

    fn mixtures(&self, epoch: u64) -> Arc<Vec<Mixture>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((of, mixtures)) if *of == epoch => mixtures.clone(),
            _ => {
                let mixtures = Arc::new(self.draw.of_view(epoch));
                *current = Some((epoch, mixtures.clone()));
                mixtures
            }
        }
    }
}

impl Examples for MixedImages {
    fn kind(&self) -> ExampleKind {
        self.images.kind()
    }

    fn shape(&self) -> [usize; 3] {
        self.images.shape()
    }

    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
        self.images.read(row, view, into)?;
        if let Some((partner, kept)) = self.mixture(row, view) {
            let mut other = vec![0.0; into.len()];
            self.images.read(partner, view, &mut other)?;
            into.iter_mut().zip(other).for_each(|(own, other)| *own = kept * *own + (1.0 - kept) * other);
        }
        Ok(())
    }

    fn mixture(&self, row: usize, view: View) -> Option<(usize, f32)> {
        let View::Augmented { epoch, .. } = view else { return None };
        let place = self.draw.place(row, view)?;
        Some(self.mixtures(epoch)[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> MixtureDraw {
        MixtureDraw { rows: vec![1, 4, 5, 8, 9], seed: 3, from_epoch: 2, concentration: 1 }
    }

    /// Example r holds the value r in every view.
    struct Rows;

    impl Examples for Rows {
        fn kind(&self) -> ExampleKind {
            ExampleKind::Image
        }
        fn shape(&self) -> [usize; 3] {
            [1, 1, 2]
        }
        fn read(&self, row: usize, _view: View, into: &mut [f32]) -> Result<()> {
            into.fill(row as f32);
            Ok(())
        }
    }

    #[test]
    fn every_row_has_another_as_its_partner_once_and_draws_follow_seed_and_view() {
        let draw = draw();
        let mixtures = draw.of_view(1);
        let mut partners: Vec<usize> = mixtures.iter().map(|(partner, _)| *partner).collect();
        assert!(partners.iter().zip(&draw.rows).all(|(partner, row)| partner != row));
        partners.sort_unstable();
        assert_eq!(partners, draw.rows);
        assert_eq!(draw.of_view(1), mixtures);
        assert_ne!(draw.of_view(2), mixtures);
        assert_ne!(MixtureDraw { seed: 4, ..draw }.of_view(1), mixtures);
    }

    #[test]
    fn training_rows_are_mixed_from_the_epoch_on_and_nothing_else_is() {
        let mixed = MixedImages::new(Arc::new(Rows), draw());
        let read = |row, view| {
            let mut values = [0.0; 2];
            mixed.read(row, view, &mut values).unwrap();
            values[0]
        };
        let at = |epoch| View::Augmented { seed: 0, epoch };
        for epoch in [2, 3, 2] {
            for row in draw().rows {
                let (partner, kept) = mixed.mixture(row, at(epoch)).expect("a training row");
                assert_eq!(read(row, at(epoch)), kept * row as f32 + (1.0 - kept) * partner as f32);
            }
        }
        for (row, view) in [(4, at(1)), (4, View::Clean), (0, at(2))] {
            assert_eq!((mixed.mixture(row, view), read(row, view)), (None, row as f32));
        }
    }
}
