//! Made-up results of a small sweep, for the tests of this module.

use sarb_labels::arrays::npy;
use sarb_labels::metrics::evaluate;
use sarb_labels::{LabelMatrix, Split};

use crate::recipe::Recipe;
use crate::report::results::Results;
use crate::run::{EpochRow, MapOrigin, Run, RunInfo, Saved, State, Status};
use crate::run_folder::{self, Existing};
use crate::seal;
use crate::sweep::{Cell, Plan};

/// Three rows, two proportions; the first row has two seeds at one of them.
pub const PLAN: &str = "known = [0.1, 0.5]\npublished = 'coco'\nloss_curves = ['SARB', 'SARB without prototypes']\n\
    [[row]]\nname = 'SARB'\nrecipe = 'sarb.toml'\nmore_seeds = [{ known = 0.1, seeds = [1] }]\ntables = ['main', 'ablation']\n\
    [[row]]\nname = 'SSGRL'\nrecipe = 'ssgrl.toml'\ntables = ['main', 'ablation']\n\
    [[row]]\nname = 'SARB without prototypes'\nrecipe = 'sarb.toml'\ntables = ['ablation']\npublished = 'ILRB'";

const IMAGES: usize = 120;
const CATEGORIES: usize = 3;

/// Run folders of a plan's cells, with scores that are the label and noise: little in the first row,
/// more in the second, a little more in the third.
pub struct Fixture {
    dir: tempfile::TempDir,
    plan: Plan,
    done: Vec<Cell>,
}

impl Fixture {
    /// All cells of the plan are done.
    pub fn new(plan: &str) -> Self {
        let plan: Plan = toml::from_str(plan).unwrap();
        let fixture = Self { dir: tempfile::tempdir().unwrap(), done: plan.cells(), plan };
        fixture.done.iter().for_each(|cell| fixture.write(cell));
        let names = names();
        let line = |image: usize| {
            let cells: Vec<String> = (0..CATEGORIES).map(|c| (label(image, c).max(0)).to_string()).collect();
            format!("{image}.jpg,{}\n", cells.join(","))
        };
        let csv = format!("image,{}\n{}", names.join(","), (0..IMAGES).map(line).collect::<String>());
        std::fs::write(fixture.dir.path().join("test.csv"), csv).unwrap();
        fixture
    }

    /// One cell is not done.
    pub fn without(mut self, row: usize, known: f64) -> Self {
        self.done.retain(|cell| (cell.row, cell.known) != (row, known));
        self
    }

    /// The results as read from the folders.
    pub fn results(&self) -> Results {
        let mut results = Results {
            plan: self.plan.clone(),
            data: self.dir.path().to_path_buf(),
            split: Split::Test,
            cells: Vec::new(),
        };
        for cell in &self.done {
            results.add(cell.clone(), self.run(cell)).unwrap();
        }
        results
    }

    /// The results without the cells of one seed.
    pub fn results_without_seed(mut self, seed: u64) -> Results {
        self.done.retain(|cell| cell.seed != seed);
        self.results()
    }

    /// The run of a cell.
    pub fn run(&self, cell: &Cell) -> Run {
        Run::open(&self.dir.path().join(self.plan.folder(cell))).unwrap()
    }

    /// The labels of the test split.
    pub fn labels(&self) -> LabelMatrix {
        labels()
    }

    fn write(&self, cell: &Cell) {
        let folder = self.dir.path().join(self.plan.folder(cell));
        let (run, _lock) = run_folder::create(&folder, Existing::Refuse, None).unwrap();
        run.save_recipe(&Recipe::default()).unwrap();
        run.save_info(&info(cell)).unwrap();
        let losses = |epoch: usize| match epoch {
            0 => Vec::new(),
            epoch => vec![("bce".to_owned(), 1.0 / epoch as f64)],
        };
        let row = |epoch| EpochRow {
            epoch,
            losses: losses(epoch),
            scalars: Vec::new(),
            validation_loss: None,
            validation_map: None,
            learning_rate: 1e-4,
            images_per_second: 10.0,
            wall_time: 0.0,
        };
        let state = State { epoch: 3, history: (0..4).map(row).collect(), ..State::default() };
        let saved = Saved { state, files: seal::Hashes::default() };
        run.write("checkpoints/last/state.json", &seal::json(&saved)).unwrap();
        let scores: Vec<f32> = (0..IMAGES * CATEGORIES).map(|place| score(cell, place)).collect();
        npy::write(&run.path("evaluation/scores.npy"), &scores, &[IMAGES, CATEGORIES]).unwrap();
        let measured = evaluate(&scores, &labels(), &names(), 0.0).unwrap();
        run.write("evaluation/test.json", &serde_json::to_vec(&measured).unwrap()).unwrap();
    }
}

fn names() -> Vec<String> {
    ["cat", "dog", "cup"].map(String::from).to_vec()
}

fn label(image: usize, category: usize) -> i8 {
    if (image * 7 + category * 3) % 5 < 2 { 1 } else { -1 }
}

fn labels() -> LabelMatrix {
    let values: Vec<i8> =
        (0..IMAGES * CATEGORIES).map(|place| label(place / CATEGORIES, place % CATEGORIES)).collect();
    LabelMatrix::from_values(CATEGORIES, &values)
}

fn score(cell: &Cell, place: usize) -> f32 {
    let noise = [1.2, 3.0, 3.4][cell.row % 3];
    let salt = (cell.known * 10.0) as usize * 31 + cell.seed as usize * 17 + cell.row * 101;
    let random = ((place + salt) * 7919 % 1009) as f32 / 1009.0 - 0.5;
    f32::from(label(place / CATEGORIES, place % CATEGORIES)) + 2.0 * noise * random
}

fn info(cell: &Cell) -> RunInfo {
    RunInfo {
        status: Status::Done,
        error: None,
        version: "0".into(),
        method: "sarb".into(),
        data: "/data".into(),
        fingerprint: String::new(),
        val_file: None,
        channels: 1,
        maps: MapOrigin::Trained,
        weights: None,
        words: None,
        files: Default::default(),
        backend: "flex".into(),
        device: "cpu".into(),
        ranks: 1,
        epochs: 3,
        best_epoch: 2 + cell.seed as usize,
        images_per_second: 10.0,
        seconds: 60.4,
        peak_rss_mb: 512.0,
        validation: None,
        anchor: None,
    }
}
