//! What columns are taken for by their names, which count by their letters and digits only.

use crate::text::letters;

/// Names of the column of image paths, best first.
pub(super) const PATHS: [&str; 11] = [
    "path",
    "imagepath",
    "imgpath",
    "jpgpath",
    "dicompath",
    "filepath",
    "filename",
    "file",
    "image",
    "imageindex",
    "img",
];

/// The observations of CheXpert and MIMIC-CXR.
const FINDINGS: [&str; 15] = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Airspace Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
];

/// Whether a column is one of the 14 observations, or `Airspace Opacity`.
pub(super) fn is_finding(name: &str) -> bool {
    FINDINGS.iter().any(|finding| letters(finding) == letters(name))
}
