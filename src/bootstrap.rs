//! Paired bootstrap over test images: how much of a difference between two systems is the choice of
//! the images.
//!
//! A resample draws N of the N test images with replacement. It is kept as the number of times that
//! each image was drawn, so that every system is ranked once and no row is copied: the average
//! precision of the drawn images is one pass over the ranking.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use sarb_labels::metrics::{Ranking, ranking};
use sarb_labels::{Label, LabelMatrix};

/// Keeps these draws apart from every other use of the same seed.
const STREAM: u64 = u64::from_le_bytes(*b"resample");

/// The level of the intervals.
pub const LEVEL: f64 = 0.95;

/// Resamples of the images of one test split, the same for every system.
pub struct Resamples<'a> {
    labels: &'a LabelMatrix,
    draws: Vec<Draw>,
}

/// One resample.
struct Draw {
    /// How often each image was drawn.
    times: Vec<u32>,
    /// For each category, which is the same for every system.
    drawn: Vec<Drawn>,
}

/// How many known labels of a category were drawn, and how many positive ones.
#[derive(Clone, Copy, Default)]
struct Drawn {
    known: u32,
    positive: u32,
}

impl<'a> Resamples<'a> {
    /// Draws `count` resamples; each has a generator of its own, so that they do not depend on threads.
    pub fn draw(labels: &'a LabelMatrix, count: usize, seed: u64) -> Self {
        let draws = (0..count as u64).into_par_iter().map(|number| {
            let times = draw(labels.images(), seed, number);
            Draw { drawn: drawn(labels, &times), times }
        });
        Self { labels, draws: draws.collect() }
    }

    /// The mAP of `scores`, `N × C` row by row, on every resample: what
    /// [`metrics::evaluate`](sarb_labels::metrics::evaluate) says of the drawn rows in file order.
    /// Categories without a positive among them are left out of the mean.
    ///
    /// # Panics
    /// If there are not as many scores as labels.
    pub fn maps(&self, scores: &[f32]) -> Vec<f64> {
        let rankings = rankings(scores, self.labels);
        self.draws.par_iter().map(|draw| map(&rankings, draw)).collect()
    }

    /// The average precision of one category of `scores` on every resample; none where no positive was drawn.
    ///
    /// # Panics
    /// If there are not as many scores as labels.
    pub fn precisions(&self, scores: &[f32], category: usize) -> Vec<Option<f64>> {
        assert_eq!(scores.len(), self.labels.images() * self.labels.categories(), "a score for every label");
        let ranking = ranking(scores, self.labels, category);
        let of_draw = |draw: &Draw| {
            let drawn = draw.drawn[category];
            (drawn.positive > 0).then(|| average_precision(&ranking, &draw.times, drawn))
        };
        self.draws.iter().map(of_draw).collect()
    }
}

/// The mAP of `scores`, `N × C` row by row, on the images as they are.
///
/// # Panics
/// If there are not as many scores as labels.
pub fn map_of(scores: &[f32], labels: &LabelMatrix) -> f64 {
    let times = vec![1; labels.images()];
    map(&rankings(scores, labels), &Draw { drawn: drawn(labels, &times), times })
}

/// The interval that holds the middle `level` of `values` (percentile method; quantiles are
/// interpolated linearly between order statistics).
///
/// # Panics
/// If there is no value.
pub fn interval(mut values: Vec<f64>, level: f64) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |proportion: f64| {
        let place = proportion * (values.len() - 1) as f64;
        let (below, share) = (place.floor() as usize, place.fract());
        let above = (below + 1).min(values.len() - 1);
        values[below] + share * (values[above] - values[below])
    };
    let tail = (1.0 - level) / 2.0;
    (quantile(tail), quantile(1.0 - tail))
}

/// How often each of `images` is drawn.
fn draw(images: usize, seed: u64, number: u64) -> Vec<u32> {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, STREAM, number, 0]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    let mut times = vec![0; images];
    (0..images).for_each(|_| times[rng.random_range(0..images)] += 1);
    times
}

fn drawn(labels: &LabelMatrix, times: &[u32]) -> Vec<Drawn> {
    let mut drawn = vec![Drawn::default(); labels.categories()];
    for (image, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
        for (drawn, label) in drawn.iter_mut().zip(labels.row(image)) {
            drawn.known += times * u32::from(label != Label::Unknown);
            drawn.positive += times * u32::from(label == Label::Positive);
        }
    }
    drawn
}

fn rankings(scores: &[f32], labels: &LabelMatrix) -> Vec<Ranking> {
    assert_eq!(scores.len(), labels.images() * labels.categories(), "a score for every label");
    (0..labels.categories()).into_par_iter().map(|category| ranking(scores, labels, category)).collect()
}

/// Mean over the categories with a drawn positive; 0 without any.
fn map(rankings: &[Ranking], draw: &Draw) -> f64 {
    let counted = rankings.iter().zip(&draw.drawn).filter(|(_, drawn)| drawn.positive > 0);
    let precisions = counted.map(|(ranking, drawn)| average_precision(ranking, &draw.times, *drawn));
    let (sum, count) = precisions.fold((0.0, 0), |(sum, count), precision| (sum + precision, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// All-point interpolated average precision of a ranking in which each image is as often as it was drawn;
/// repeats have the same score and so share a rank, as all ties do.
fn average_precision(ranking: &Ranking, times: &[u32], drawn: Drawn) -> f64 {
    let (mut rank, mut hits) = (drawn.known, drawn.positive);
    let (mut envelope, mut sum) = (0.0, 0.0);
    for group in ranking.groups().rev() {
        let (mut repeats, mut positives) = (0, 0);
        for &entry in group {
            let times = times[entry as usize >> 1];
            repeats += times;
            positives += times * (entry & 1);
        }
        if positives > 0 {
            envelope = f64::max(envelope, f64::from(hits) / f64::from(rank));
            sum += f64::from(positives) * envelope;
        }
        (rank, hits) = (rank - repeats, hits - positives);
    }
    sum / f64::from(drawn.positive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb_labels::metrics::evaluate;
    use sarb_labels::random::{Stream, rng};

    /// Scores with ties, labels with unknowns; few positives, so that some resamples have none.
    fn random_data(seed: u64, images: usize, categories: usize) -> (Vec<f32>, LabelMatrix) {
        let mut rng = rng(seed, Stream::Synthetic, 0, 0);
        let scores = (0..images * categories).map(|_| rng.random_range(-6..6) as f32 / 4.0).collect();
        let labels: Vec<i8> = (0..images * categories)
            .map(|_| [1, 0, -1, -1, -1, -1, -1, -1][rng.random_range(0..8)])
            .collect();
        (scores, LabelMatrix::from_values(categories, &labels))
    }

    /// The drawn rows written out, in file order.
    fn repeated(scores: &[f32], labels: &LabelMatrix, times: &[u32]) -> (Vec<f32>, LabelMatrix) {
        let c = labels.categories();
        let rows: Vec<usize> =
            (0..times.len()).flat_map(|row| std::iter::repeat_n(row, times[row] as usize)).collect();
        let scores = rows.iter().flat_map(|&row| scores[row * c..(row + 1) * c].to_vec()).collect();
        (scores, labels.select(&rows))
    }

    #[test]
    fn a_resample_is_worth_what_its_rows_written_out_are_worth() {
        let mut without_positive = 0;
        for seed in 0..20 {
            let (scores, labels) = random_data(seed, 17, 4);
            let names: Vec<String> = (0..4).map(|category| category.to_string()).collect();
            let resamples = Resamples::draw(&labels, 25, seed);
            for (Draw { times, .. }, map) in resamples.draws.iter().zip(resamples.maps(&scores)) {
                assert_eq!(times.iter().sum::<u32>(), 17);
                let (scores, labels) = repeated(&scores, &labels, times);
                let expected = evaluate(&scores, &labels, &names, 0.0).unwrap();
                without_positive += expected.skipped_categories.len();
                assert!((map - expected.map).abs() < 1e-12, "{map} is not {}", expected.map);
            }
            let of_categories: Vec<_> =
                (0..4).map(|category| resamples.precisions(&scores, category)).collect();
            for (place, map) in resamples.maps(&scores).into_iter().enumerate() {
                let precisions: Vec<f64> = of_categories.iter().filter_map(|of| of[place]).collect();
                // Without any positive the mAP is 0.
                let mean = precisions.iter().sum::<f64>() / precisions.len().max(1) as f64;
                assert!((mean - map).abs() < 1e-12, "{mean} is not {map}");
            }
            let as_they_are = evaluate(&scores, &labels, &names, 0.0).unwrap().map;
            assert!((map_of(&scores, &labels) - as_they_are).abs() < 1e-12);
        }
        assert!(without_positive > 100, "only {without_positive} categories without a positive were tried");
    }

    #[test]
    fn repeats_of_a_positive_share_the_precision_of_the_last() {
        // By hand. Ranking + − +, drawn 2, 1, 3 times: + + − + + +; precisions 1, 1, then 5/6 three times.
        let labels = LabelMatrix::from_values(1, &[1, -1, 1]);
        let ranking = ranking(&[3.0, 2.0, 1.0], &labels, 0);
        let precision = average_precision(&ranking, &[2, 1, 3], Drawn { known: 6, positive: 5 });
        assert!((precision - (2.0 + 3.0 * 5.0 / 6.0) / 5.0).abs() < 1e-15);
    }

    #[test]
    fn resamples_depend_on_the_seed_and_on_nothing_else() {
        let (scores, labels) = random_data(0, 40, 3);
        let maps = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Resamples::draw(&labels, 30, seed).maps(&scores))
        };
        assert_eq!(maps(1, 5), maps(3, 5));
        assert_ne!(maps(1, 5), maps(1, 6));
    }

    #[test]
    fn the_interval_is_the_middle_of_the_values() {
        // 0, 1, …, 1000: the quantile q lies at 1000 q.
        let (low, high) = interval((0..=1000).rev().map(f64::from).collect(), 0.95);
        assert!((low - 25.0).abs() < 1e-9 && (high - 975.0).abs() < 1e-9, "{low} {high}");
        assert_eq!(interval(vec![3.0], 0.95), (3.0, 3.0));
        // The quartiles of three values lie halfway between neighbors.
        assert_eq!(interval(vec![0.0, 40.0, 10.0], 0.5), (5.0, 25.0));
    }

    #[test]
    fn the_interval_holds_the_true_difference_and_leaves_out_0_when_one_system_is_better() {
        // Scores are the label ± noise; with twice the noise a system is plainly worse. The true
        // difference is that of a split 50 times as large.
        let systems = |images: usize| {
            let mut rng = rng(3, Stream::Synthetic, images as u64, 0);
            let values: Vec<i8> =
                (0..images * 2).map(|_| if rng.random_range(0..4) == 0 { 1 } else { -1 }).collect();
            let mut scored = |noise: f32| -> Vec<f32> {
                values.iter().map(|&v| f32::from(v) + noise * rng.random_range(-1.0..1.0f32)).collect()
            };
            let (sharp, blurred, other) = (scored(1.5), scored(3.0), scored(1.5));
            (LabelMatrix::from_values(2, &values), sharp, blurred, other)
        };
        let (labels, sharp, blurred, _) = systems(40_000);
        let truth = map_of(&blurred, &labels) - map_of(&sharp, &labels);

        let (labels, sharp, blurred, other) = systems(800);
        let resamples = Resamples::draw(&labels, 400, 0);
        let difference = |a: &[f32], b: &[f32]| {
            let pairs = resamples.maps(a).into_iter().zip(resamples.maps(b));
            interval(pairs.map(|(a, b)| a - b).collect(), 0.95)
        };
        let (low, high) = difference(&blurred, &sharp);
        assert!(low < truth && truth < high && high < 0.0, "[{low}, {high}] and {truth}");
        let (low, high) = difference(&other, &sharp);
        assert!(low < 0.0 && 0.0 < high, "equally good systems: [{low}, {high}]");
    }

    #[test]
    #[ignore = "a measurement: 1,000 resamples of 14 systems on 4,000 × 18"]
    fn time_of_a_sweep() {
        let (scores, labels) = random_data(0, 4000, 18);
        let start = std::time::Instant::now();
        let resamples = Resamples::draw(&labels, 1000, 0);
        for system in 0..14 {
            let scores: Vec<f32> =
                scores.iter().enumerate().map(|(i, s)| s + ((i + system) as f32).sin()).collect();
            assert_eq!(resamples.maps(&scores).len(), 1000);
        }
        println!("{:?}", start.elapsed());
    }
}
