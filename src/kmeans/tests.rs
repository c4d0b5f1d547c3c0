use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sarb_labels::random::{Stream, rng};

use super::*;

fn generator(seed: u64) -> ChaCha8Rng {
    rng(seed, Stream::KMeans, 0, 0)
}

/// `each` points in a cube of half-width `spread` around every one of `centers`.
fn around(centers: &[[f32; 3]], each: usize, spread: f32, seed: u64) -> Vec<f32> {
    let mut rng = rng(seed, Stream::Synthetic, 0, 0);
    let mut points: Vec<[f32; 3]> = (0..centers.len() * each)
        .map(|i| centers[i % centers.len()].map(|value| value + rng.random_range(-spread..spread)))
        .collect();
    points.shuffle(&mut rng);
    points.concat()
}

#[test]
fn recovers_separated_clusters() {
    let truth = [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0], [10.0, 10.0, 10.0]];
    for seed in 0..10 {
        let points = around(&truth, 60, 1.0, seed);
        let clusters = kmeans(&points, 3, 5, &mut generator(seed));
        assert_eq!(clusters.centers.len(), 15);
        for center in truth {
            let nearest = clusters
                .centers
                .chunks(3)
                .map(|found| found.iter().zip(&center).map(|(a, b)| (a - b).powi(2)).sum::<f32>());
            assert!(nearest.fold(f32::INFINITY, f32::min) < 0.1);
        }
        // A cube of half-width 1 has variance 1/3 a coordinate: 300 points × 3 / 3, 10 % to spare.
        assert!((clusters.inertia - 300.0).abs() < 30.0, "{}", clusters.inertia);
    }
}

#[test]
fn every_point_is_with_its_nearest_center_and_every_center_is_a_mean() {
    let points = around(&[[0.0; 3], [1.0; 3]], 400, 1.0, 3);
    let clusters = kmeans(&points, 3, 7, &mut generator(1));
    let centers: Vec<&[f32]> = clusters.centers.chunks(3).collect();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let mut inertia = 0.0;
    for (point, &cluster) in points.chunks(3).zip(&clusters.assignments) {
        let own = distance(point, centers[cluster]);
        assert!(centers.iter().all(|center| own <= distance(point, center) + 1e-5));
        inertia += own;
    }
    assert!((inertia - clusters.inertia).abs() < 1e-4 * inertia);
    for (cluster, center) in centers.iter().enumerate() {
        let own: Vec<&[f32]> = (points.chunks(3).zip(&clusters.assignments))
            .filter(|(_, other)| **other == cluster)
            .map(|(point, _)| point)
            .collect();
        for axis in 0..3 {
            let mean = own.iter().map(|point| point[axis]).sum::<f32>() / own.len() as f32;
            // The centers may stop 1e-4 mean variances short of their last means.
            assert!((mean - center[axis]).abs() < 0.02, "{mean} and {}", center[axis]);
        }
    }
}

#[test]
fn fewer_distinct_points_than_clusters_become_the_centers() {
    let points = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0];
    for k in [2, 3, 10] {
        let clusters = kmeans(&points, 2, k, &mut generator(0));
        assert_eq!(clusters.centers, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(clusters.assignments, [0, 1, 0, 1, 0]);
        assert_eq!((clusters.inertia, clusters.iterations), (0.0, 0));
    }
    let none = kmeans(&[], 4, 10, &mut generator(0));
    assert!(none.centers.is_empty() && none.assignments.is_empty() && none.inertia == 0.0);
}

#[test]
fn there_are_k_filled_clusters_however_often_points_repeat() {
    // Eleven distinct points, one of them a thousand times: seeding must not draw it twice.
    let mut points = [5.0f32, -3.0].repeat(1000);
    points.extend((0..10).flat_map(|i| [5.0 + 1e-3 * i as f32 + 1e-3, -3.0]));
    for seed in 0..20 {
        let clusters = kmeans(&points, 2, 10, &mut generator(seed));
        let mut used = [false; 10];
        clusters.assignments.iter().for_each(|&cluster| used[cluster] = true);
        assert_eq!(clusters.centers.len(), 20);
        assert!(used.iter().all(|&used| used), "seed {seed}");
    }
}

#[test]
fn an_empty_cluster_takes_the_farthest_point() {
    // Two centers at the same place: the second gets nothing, hence the farthest point, 9.
    let values = [0.0, 1.0, 2.0, 9.0];
    let points = Points::new(&values, 1);
    let (lloyd, _) = Lloyd::new(&points, vec![1.0, 1.0]).run(0.0);
    assert_eq!(lloyd.assignments, [0, 0, 0, 1]);
    assert_eq!(lloyd.centers, [1.0, 9.0]);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let points = around(&[[0.0; 3], [0.5; 3], [2.0; 3]], 700, 1.0, 5);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| kmeans(&points, 3, 10, &mut generator(7)))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(5));
    assert_ne!(one, kmeans(&points, 3, 10, &mut generator(8)));
}

#[test]
fn offset_and_magnitude_cost_no_accuracy() {
    let points = around(&[[0.0; 3], [4.0; 3]], 100, 1.0, 6);
    let expected = kmeans(&points, 3, 4, &mut generator(2));
    for factor in [1e-30, 1e30] {
        let scaled: Vec<f32> = points.iter().map(|value| value * factor).collect();
        let clusters = kmeans(&scaled, 3, 4, &mut generator(2));
        assert!(clusters.centers.iter().all(|value| value.is_finite()));
        let inertia = clusters.inertia / f64::from(factor).powi(2);
        assert!((inertia / expected.inertia - 1.0).abs() < 1e-3, "{inertia}");
    }
    let shifted: Vec<f32> = points.iter().map(|value| value + 1024.0).collect();
    let inertia = kmeans(&shifted, 3, 4, &mut generator(2)).inertia;
    assert!((inertia / expected.inertia - 1.0).abs() < 0.01, "{inertia} and {}", expected.inertia);
}

#[test]
#[ignore = "a measurement: 2,000 points of 1,024, K 10, as one category of COCO"]
fn time_of_a_category() {
    let path = std::env::var("KMEANS_POINTS").expect("KMEANS_POINTS: a raw f32 file, n × 1024");
    let bytes = std::fs::read(path).unwrap();
    let points: Vec<f32> =
        bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
    for seed in 0..5 {
        let start = std::time::Instant::now();
        let clusters = kmeans(&points, 1024, 10, &mut generator(seed));
        println!("{:?} inertia {} iterations {}", start.elapsed(), clusters.inertia, clusters.iterations);
    }
    let start = std::time::Instant::now();
    let work: usize = (0..80u64)
        .into_par_iter()
        .map(|seed| kmeans(&points, 1024, 10, &mut generator(seed)).iterations)
        .sum();
    println!("80 categories {:?}, {work} iterations", start.elapsed());
}
