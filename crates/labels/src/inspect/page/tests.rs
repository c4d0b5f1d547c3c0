//! Whole pages.

use image::{Rgb, RgbImage};

use super::*;
use crate::labels::LabelMatrix;

/// Three images, of which one is not there, in categories with awkward names.
fn awkward(folder: &Path) -> Annotations {
    for (name, side) in [("a.png", 40), ("<b>&\"c\".png", 60)] {
        let shade = |x: u32, y: u32| Rgb([(x * 4) as u8, (y * 4) as u8, 90]);
        RgbImage::from_fn(side, 50, shade).save(folder.join(name)).unwrap();
    }
    Annotations {
        images: ["a.png", "<b>&\"c\".png", "gone.png"].map(|name| folder.join(name)).to_vec(),
        labels: LabelMatrix::from_values(3, &[1, 1, 0, 1, -1, 0, -1, 0, 0]),
        categories: ["<script>alert(1)</script>", "a & b", "\"q\""].map(str::to_owned).to_vec(),
        source: folder.join("x<y>.csv"),
    }
}

#[test]
fn names_from_outside_cannot_become_markup() {
    let folder = tempfile::tempdir().unwrap();
    let page = render(&awkward(folder.path()), &Settings::default());
    for markup in ["<script", "<b>", "a & b", "x<y>", "\"q\"", "\"c\""] {
        assert!(!page.contains(markup), "{markup}");
    }
    for text in ["&lt;script&gt;alert(1)&lt;/script&gt;", "a &amp; b", "x&lt;y&gt;.csv", "&quot;q&quot;"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn the_page_needs_no_other_file_and_is_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let (annotations, path) = (awkward(folder.path()), folder.path().join("page.html"));
    write(&path, &annotations, &Settings::default()).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    // Two whole images, two views each; the third says why it is not there.
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 4);
    assert_eq!(page.matches("class=\"lost\"").count(), 1);
    assert!(page.contains("gone.png: no such file") && page.contains("1 could not be read."));
    for outside in ["http", "url(\"", "@import", "src=\"/", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(render(&annotations, &Settings::default()), page);
    assert_ne!(render(&annotations, &Settings { seed: 5, ..Settings::default() }), page);
}

#[test]
fn every_opened_element_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let page = render(&awkward(folder.path()), &Settings::default());
    let void = ["meta", "br", "wbr", "img", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '/', '\n']).find(|part| !part.is_empty()).expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "…{}", &page[..200]);
        } else if !tag.ends_with('/') && !void.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn without_images_none_is_opened_and_nothing_is_drawn_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { images: false, ..Settings::default() };
    let page = render(&awkward(folder.path()), &settings);
    assert!(!page.contains("<img") && !page.contains("Image sizes"));
}

#[test]
fn a_file_without_images_or_with_thousands_of_categories_is_still_a_page() {
    let empty = Annotations {
        images: vec![],
        labels: LabelMatrix::unknown(0, 2),
        categories: vec!["cat".into(), "dog".into()],
        source: "a.csv".into(),
    };
    let page = render(&empty, &Settings::default());
    assert!(!page.contains("NaN") && !page.contains("inf"));
    let many = Annotations {
        images: vec!["a.jpg".into()],
        labels: LabelMatrix::from_values(1200, &[1; 1200]),
        categories: (0..1200).map(|category| format!("c{category}")).collect(),
        source: "a.csv".into(),
    };
    let page = render(&many, &Settings { images: false, ..Settings::default() });
    assert!(page.contains("The 1000 of 1,200 with most positives."));
    assert!(page.contains("The 80 categories with most positives, of 1,200."));
}
