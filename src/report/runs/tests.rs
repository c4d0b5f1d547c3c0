use sarb_labels::metrics::evaluate;

use super::categories::precisions;
use super::*;

const SETTINGS: Settings = Settings {
    bootstrap: Bootstrap { resamples: 60, seed: 0 },
    images: 0,
    split: Split::Test,
    checkpoint: Which::Best,
};

/// Systems whose scores are the label and noise, one more of it than the other; a third of the labels is unknown.
fn measured(names: &[&str], images: usize, systems: usize) -> Measured {
    let categories: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let c = categories.len();
    let values: Vec<i8> = (0..images * c).map(|cell| [1, -1, 0][(cell * 7 + cell / c) % 3]).collect();
    let labels = LabelMatrix::from_values(c, &values);
    let row = |system: usize| {
        let noise = |cell: usize| ((cell * 7919 + system * 31) % 1009) as f32 / 1009.0 - 0.5;
        let spread = 3.0 + 4.0 * system as f32;
        let values: Vec<f32> =
            labels.to_floats().iter().enumerate().map(|(cell, label)| label + spread * noise(cell)).collect();
        let scores = evaluate(&values, &labels, &categories, 0.0).unwrap();
        let system = System { name: format!("system {system} <&>"), values, scores };
        Row { system, scale: Scale::Logits, source: Source::File(0) }
    };
    let rows = (0..systems).map(|system| Row { source: Source::File(system), ..row(system) }).collect();
    Measured { rows, labels, categories }
}

fn page(measured: &Measured) -> String {
    Page::of(&[], Some(measured), &SETTINGS).unwrap().html
}

#[test]
fn names_of_the_user_stay_names() {
    let long = "very long ".repeat(60);
    let hostile = [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror=alert(2)>",
        "a & b <!-- c",
        "חתול \u{202e}gpj.exe",
        "' onmouseover='alert(3)",
        &long,
    ];
    let mut measured = measured(&hostile, 60, 2);
    measured.rows[1].system.name = hostile[0].to_owned();
    let html = page(&measured);
    // The data and the script of the page, and no other.
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (2, 2));
    assert!(!html.contains("<img") && !html.contains("<!--") && !html.contains("alert(1)</script>"));
    assert!(html.contains("<bdi>חתול \u{202e}gpj.exe</bdi>") && html.contains(long.trim_end()));
    let nonce = html.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(nonce.len() == 64 && html.contains(&format!("<script nonce=\"{nonce}\">")));
    // A name changes the number that a script needs, so that no name can hold it.
    measured.categories[0].push_str(nonce);
    let renamed = page(&measured);
    assert!(!renamed.contains(&format!("nonce=\"{nonce}\"")));
}

#[test]
fn a_page_names_nothing_outside_of_it() {
    let html = page(&measured(&["cat", "dog"], 40, 2));
    for outside in ["http://", "https://", "//", "url(", "@import", "<link rel=\"stylesheet"] {
        let found = html.replace("http://www.w3.org/2000/svg", "").replace("  // ", "").replace("\n// ", "");
        assert!(!found.contains(outside), "{outside}");
    }
}

#[test]
fn the_slider_begins_with_what_evaluate_says() {
    let measured = measured(&["cat", "dog", "cup"], 90, 2);
    let explorer = serde_json::json!(Explorer::of(&measured, &Names::of(&[], &measured.rows)));
    let start = explorer["start"].as_u64().unwrap() as usize;
    assert_eq!(explorer["thresholds"][start], 0.5);
    let count = |counts: &serde_json::Value, from: usize| -> u64 {
        counts.as_array().unwrap()[from..].iter().map(|count| count.as_u64().unwrap()).sum()
    };
    for (system, row) in measured.rows.iter().enumerate() {
        let scores = &row.system.scores;
        let all = scores.all;
        let categories = scores.per_category.iter().map(|c| (c.precision, c.recall));
        for (place, (precision, recall)) in std::iter::once((all.op, all.or)).chain(categories).enumerate() {
            let counted = &explorer["categories"][place]["systems"][system];
            let right = count(&counted["positives"], start + 1) as f64;
            let claimed = right + count(&counted["negatives"], start + 1) as f64;
            assert_eq!(right / claimed, precision);
            assert_eq!(right / count(&counted["positives"], 0) as f64, recall);
        }
    }
    // Only known labels are counted.
    let known: usize = measured.labels.counts().iter().map(|(_, known)| known).sum();
    let all = &explorer["categories"][0]["systems"][0];
    assert_eq!(count(&all["positives"], 0) + count(&all["negatives"], 0), known as u64);
    assert!(page(&measured).contains(&format!("rests on the {known} known labels")));
}

#[test]
fn average_precisions_are_those_of_evaluate_within_their_intervals() {
    let mut measured = measured(&["cat", "dog", "never"], 90, 2);
    (0..90).for_each(|row| measured.labels.set(row, 2, sarb_labels::Label::Negative));
    for row in &mut measured.rows {
        let scores = evaluate(&row.system.values, &measured.labels, &measured.categories, 0.0).unwrap();
        row.system.scores = scores;
    }
    let found = precisions(&measured, SETTINGS.bootstrap);
    for (category, of_category) in found.iter().enumerate().take(2) {
        for (precision, row) in of_category.iter().zip(&measured.rows) {
            assert_eq!(precision.ap, row.system.scores.per_category[category].ap);
            let interval = precision.interval.unwrap();
            assert!(
                interval.low < precision.ap + 0.05 && precision.ap < interval.high + 0.05,
                "{precision:?}"
            );
        }
        let difference = of_category[1].difference.unwrap();
        assert_eq!(difference.map, of_category[1].ap - of_category[0].ap);
        assert!(difference.map < 0.0 && difference.interval.unwrap().excludes_zero(), "{difference:?}");
        assert_eq!(of_category[0].difference, None);
    }
    assert_eq!((found[2][1].interval, found[2][1].difference), (None, None));
    let html = page(&measured);
    assert!(html.contains("left out of mAP, CP and CR: <bdi>never</bdi>"));
    let without = Settings { bootstrap: Bootstrap { resamples: 0, seed: 0 }, ..SETTINGS };
    let html = Page::of(&[], Some(&measured), &without).unwrap().html;
    assert!(html.contains("No intervals were asked for") && !html.contains("class=\"interval\""));
}

#[test]
fn many_categories_are_bounded_and_the_page_says_so() {
    let names: Vec<String> = (0..1600).map(|category| format!("category {category}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let measured = measured(&names, 60, 3);
    let settings = Settings { bootstrap: Bootstrap { resamples: 2, seed: 0 }, ..SETTINGS };
    let page = Page::of(&[], Some(&measured), &settings).unwrap();
    assert!(page.html.contains("1,000 of 1,600 categories are here, those with the most known positives"));
    assert!(page.html.len() < 8_000_000, "{} bytes", page.html.len());
    assert!(page.notes.iter().any(|note| note.contains("No images are shown")), "{:?}", page.notes);
}

#[test]
fn probabilities_are_claimed_from_one_half_on() {
    let mut measured = measured(&["cat", "dog"], 60, 1);
    let row = &mut measured.rows[0];
    let logits = std::mem::take(&mut row.system.values);
    row.system.values = logits.iter().map(|&logit| Scale::Logits.probability(logit) as f32).collect();
    row.scale = Scale::Probabilities;
    let Measured { labels, categories, .. } = &measured;
    let expected = evaluate(&logits, labels, categories, 0.0).unwrap();
    let explorer = serde_json::json!(Explorer::of(&measured, &Names::of(&[], &measured.rows)));
    let positives = explorer["categories"][1]["systems"][0]["positives"].as_array().unwrap();
    let start = explorer["start"].as_u64().unwrap() as usize;
    let sum = |from: usize| positives[from..].iter().map(|count| count.as_f64().unwrap()).sum::<f64>();
    assert_eq!(sum(start + 1) / sum(0), expected.per_category[0].recall);
}
