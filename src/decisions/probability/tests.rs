use rand::RngExt;
use sarb_labels::random::{Stream, rng};

use super::*;

/// The logits of a category's known labels, whether each is positive, and for how many it stands.
type Known = Vec<(f32, bool, f64)>;

/// Curves from the known labels of every category.
fn fit(known: &[Known]) -> Curves {
    let cells =
        || known.iter().enumerate().flat_map(|(category, cells)| cells.iter().map(move |it| (category, *it)));
    let mut measured = Measured::new(known.len());
    cells().for_each(|(category, (logit, positive, _))| measured.add(category, logit, positive));
    let mut gathered = Gathered::new(&measured);
    cells().for_each(|(category, (logit, positive, count))| gathered.add(category, logit, positive, count));
    gathered.curves()
}

/// Known labels drawn from a curve at standard normal logits.
fn drawn(curve: Curve, count: usize, seed: u64) -> Known {
    let mut rng = rng(seed, Stream::Synthetic, 0, 0);
    let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0f64)).sum::<f64>() - 6.0;
    let logits: Vec<f32> = (0..count).map(|_| normal() as f32).collect();
    let mut rng = self::rng(seed, Stream::Synthetic, 1, 0);
    logits.into_iter().map(|z| (z, rng.random_range(0.0..1.0) < curve.probability(z), 1.0)).collect()
}

fn of(slope: f64, offset: f64) -> Curve {
    Curve { slope, offset }
}

#[test]
fn many_labels_fix_the_curve_of_their_category() {
    let truth = [of(2.0, -1.0), of(0.7, 1.5)];
    let known = [drawn(truth[0], 40_000, 1), drawn(truth[1], 40_000, 2)];
    for (found, truth) in fit(&known).categories.iter().zip(truth) {
        assert!((found.slope - truth.slope).abs() < 0.06, "{found:?} {truth:?}");
        assert!((found.offset - truth.offset).abs() < 0.06, "{found:?} {truth:?}");
    }
}

#[test]
fn many_labels_taken_together_give_the_curves_that_each_by_itself_gives() {
    let known = [drawn(of(2.0, -3.0), MANY + 1000, 5), drawn(of(1.4, -1.0), 300, 6)];
    let mut measured = Measured::new(2);
    let cells = || known.iter().enumerate().flat_map(|(c, cells)| cells.iter().map(move |it| (c, *it)));
    cells().for_each(|(category, (logit, positive, _))| measured.add(category, logit, positive));
    let scaled = |mut gathered: Gathered| {
        cells().for_each(|(c, (logit, positive, count))| gathered.add(c, logit, positive, count));
        gathered.scaled().1.remove(0)
    };
    let together = scaled(Gathered::new(&measured));
    assert!(
        together.len() < 3000 && together.iter().map(|it| it.count).sum::<f64>() == known[0].len() as f64
    );
    let few = (0..2).map(|_| Cells::Few(Vec::new())).collect();
    let each = scaled(Gathered { units: measured.units(), telling: vec![true; 2], categories: few });
    assert_eq!(each.len(), known[0].len());
    let [some, all] = [together, each].map(|cells| Posterior::of(&cells, [1.0, 0.0], [WIDE; 2]).mode);
    assert!((some[0] - all[0]).abs() < 1e-4 && (some[1] - all[1]).abs() < 1e-4, "{some:?} {all:?}");
}

#[test]
fn few_labels_stay_near_what_the_categories_share() {
    // Twenty categories alike, and one with two labels that deny it.
    let alike = of(1.5, -2.0);
    let mut known: Vec<Known> = (0..20).map(|seed| drawn(alike, 500, seed)).collect();
    known.push(vec![(3.0, false, 1.0), (-3.0, true, 1.0)]);
    let curves = fit(&known);
    let last = curves.categories[20];
    assert!((last.slope - 1.5).abs() < 0.5 && (last.offset + 2.0).abs() < 0.7, "{last:?}");
    // Unlike ones give it more freedom.
    let unlike = |seed: u64| drawn(of(0.3 + 0.2 * seed as f64, seed as f64 / 2.0 - 4.0), 500, seed);
    let mut known: Vec<Known> = (0..20).map(unlike).collect();
    let mostly = || (0..13).map(|at| (0.0, at > 0, 1.0)).collect();
    known.push(mostly());
    let free = fit(&known).categories[20];
    let mut known: Vec<Known> = (0..20).map(|seed| drawn(alike, 500, seed)).collect();
    known.push(mostly());
    let held = fit(&known).categories[20];
    assert!(free.probability(0.0) > held.probability(0.0) + 0.1, "{free:?} {held:?}");
}

#[test]
fn a_category_without_labels_has_the_shared_curve_and_none_at_all_gives_the_logits_back() {
    let known = [drawn(of(1.0, 0.5), 2000, 3), drawn(of(1.2, 0.3), 2000, 4), Vec::new()];
    let curves = fit(&known);
    assert_eq!(curves.categories[2], curves.shared);
    // Positives alone are no more than none.
    let tags = vec![(2.0, true, 1.0); 500];
    let [first, second, _] = known;
    let tagged = fit(&[first, second, tags.clone()]);
    let close = |a: Curve, b: Curve| (a.slope - b.slope).abs() < 1e-6 && (a.offset - b.offset).abs() < 1e-6;
    assert!(curves.categories.iter().zip(&tagged.categories).all(|(a, b)| close(*a, *b)), "{tagged:?}");
    for nothing in [vec![Vec::new(), Vec::new()], vec![tags, Vec::new()]] {
        assert_eq!(fit(&nothing).categories, [of(1.0, 0.0); 2]);
    }
}

#[test]
fn extreme_logits_stay_finite_and_no_ranking_is_turned_around() {
    for scale in [1e-12f32, 1e12] {
        let cells = vec![(scale, false, 1.0), (-scale, true, 1.0), (scale, false, 1.0), (-scale, true, 1.0)];
        let curve = fit(&[cells.clone(), cells]).categories[0];
        assert!(curve.slope > 0.0 && curve.slope.is_finite() && curve.offset.is_finite(), "{curve:?}");
    }
    let curve = of(2.0, -1.0);
    let logit = (log_odds(0.8) - curve.offset) / curve.slope;
    assert!((curve.probability(logit as f32) - 0.8).abs() < 1e-6);
}
