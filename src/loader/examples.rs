//! What a loader reads: examples of one shape, by row and view.

use std::path::PathBuf;

use sarb_labels::images;
use sarb_labels::images::transform::Transform;
use sarb_labels::random::{Stream, rng};

use crate::Result;

/// Which transform an example is read through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The test-time transform.
    Clean,
    /// A training transform, drawn by (seed, epoch, row).
    Augmented {
        /// The run's seed.
        seed: u64,
        /// The epoch, from 0.
        epoch: u64,
    },
    /// That training transform of the same draws, with other colors and a hidden square; only of examples that were
    /// opened with strong views.
    Strong {
        /// The run's seed.
        seed: u64,
        /// The epoch, from 0.
        epoch: u64,
    },
}

/// What an example is to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleKind {
    /// A normalized image, `[3, S, S]`.
    Image,
    /// The map before the last stage of a backbone, `[F', H', W']`.
    TrunkMap,
    /// What the head reads, `[F, H, W]`.
    Map,
}

/// Examples of one kind and one fixed shape, read by row.
pub trait Examples: Send + Sync {
    /// What they are.
    fn kind(&self) -> ExampleKind;

    /// `[3, S, S]` of images, `[F, H, W]` of maps.
    fn shape(&self) -> [usize; 3];

    /// Fills `into` (as many values as the shape has) with example `row`.
    ///
    /// # Errors
    /// When the example cannot be read, naming its file.
    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()>;

    /// The row that example `row` is mixed with in this view, and the share in 0…1 that it keeps, where
    /// [`read`](Self::read) gives a mixture.
    fn mixture(&self, _row: usize, _view: View) -> Option<(usize, f32)> {
        None
    }
}

/// Image files, decoded and transformed when they are read.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    /// The files, in row order.
    pub paths: Vec<PathBuf>,
    /// Sizes of the views.
    pub transform: Transform,
}

impl Examples for ImageFiles {
    fn kind(&self) -> ExampleKind {
        ExampleKind::Image
    }

    fn shape(&self) -> [usize; 3] {
        [3, self.transform.size_px, self.transform.size_px]
    }

    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
        let image = images::decode(&self.paths[row])?;
        let draws = |seed, epoch| rng(seed, Stream::Augment, epoch, row as u64);
        match view {
            View::Clean => self.transform.clean(&image, into),
            View::Augmented { seed, epoch } => {
                self.transform.augmented(&image, &mut draws(seed, epoch), into);
            }
            View::Strong { seed, epoch } => self.transform.strong(&image, &mut draws(seed, epoch), into),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_an_image_file_follow_seed_epoch_and_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let slope = |x: u32, y: u32| ::image::Rgb([x as u8 * 6, y as u8 * 8, (x * y % 251) as u8]);
        ::image::RgbImage::from_fn(40, 30, slope).save(&path).unwrap();
        let files = ImageFiles { paths: vec![path.clone(), path], transform: Transform::for_size(21) };
        assert_eq!(files.shape(), [3, 21, 21]);
        let read = |row, view| {
            let mut values = vec![0.0; 3 * 21 * 21];
            files.read(row, view, &mut values).unwrap();
            values
        };
        let augmented = |row, seed, epoch| read(row, View::Augmented { seed, epoch });
        let strong = |epoch| read(0, View::Strong { seed: 1, epoch });
        assert_eq!(strong(2), strong(2));
        assert!(strong(2) != strong(3) && strong(2) != augmented(0, 1, 2));
        assert_eq!(read(0, View::Clean), read(1, View::Clean));
        assert_eq!(augmented(0, 1, 2), augmented(0, 1, 2));
        for other in [augmented(1, 1, 2), augmented(0, 2, 2), augmented(0, 1, 3), read(0, View::Clean)] {
            assert_ne!(augmented(0, 1, 2), other);
        }
    }
}
