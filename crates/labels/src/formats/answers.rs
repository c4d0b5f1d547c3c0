//! What annotators chose, until all controls and their choices are known.

use std::collections::{HashMap, HashSet};

use super::answer_words::answered;
use crate::annotations::Annotations;
use crate::formats::marks::Marks;
use crate::formats::options::Unlisted;
use crate::labels::Label;

/// One choice in one annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Chosen {
    image: u32,
    /// The place of control and choice.
    choice: u32,
    annotation: u32,
    /// Whether it may be any text of the task.
    perhaps: bool,
}

/// The submitted annotations of an export.
#[derive(Default)]
pub struct Answers {
    /// How many annotations each image has.
    annotations: Vec<u32>,
    /// Annotations so far, of all images.
    count: u32,
    /// The image of each of them.
    images: Vec<u32>,
    chosen: Vec<Chosen>,
    /// Images, controls and annotations whose answer is none of the choices.
    otherwise: Vec<(u32, u32, u32)>,
    controls: Vec<Control>,
    control_places: HashMap<String, u32>,
    choices: Vec<(u32, String)>,
    choice_places: HashMap<(u32, String), u32>,
    /// After [`settle`](Self::settle): how many annotations of an image answered a control.
    answered: HashMap<(u32, u32), u32>,
    empty: usize,
    /// Whether annotators were asked for more than these controls.
    asks_more: bool,
}

struct Control {
    name: String,
    kind: Kind,
    /// Whether a yes, a no, an unsure and another word is among its answers.
    words: Words,
}

#[derive(Debug, Clone, Copy, Default)]
struct Words {
    yes: bool,
    no: bool,
    unsure: bool,
    other: bool,
}

/// What the answers of a control are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Perhaps only text of the task.
    Perhaps,
    /// Names of categories.
    Categories,
    /// After [`find_yes_and_no`](Answers::find_yes_and_no): yes, no or unsure about the category that the control is named after.
    YesNo,
}

impl Answers {
    /// Makes room for an image.
    pub fn image(&mut self, image: usize) {
        if image >= self.annotations.len() {
            self.annotations.resize(image + 1, 0);
        }
    }

    /// Begins an annotation of an image.
    pub fn annotation(&mut self, image: usize) {
        self.annotations[image] += 1;
        self.count += 1;
        self.images.push(image as u32);
    }

    /// Notes a choice of the annotation begun last.
    pub fn choose(&mut self, image: usize, control: &str, choice: &str) {
        let control = self.control(control);
        self.controls[control as usize].kind = Kind::Categories;
        self.push(image, control, choice, false);
    }

    /// Notes that the annotation begun last answers a control with what is not a choice.
    pub fn answer_otherwise(&mut self, image: usize, control: &str) {
        let control = self.control(control);
        self.otherwise.push((image as u32, control, self.count));
    }

    /// Notes a text that is a choice if its control has choices elsewhere, or nothing but yes and no.
    pub fn choose_perhaps(&mut self, image: usize, control: &str, text: &str) {
        let control = self.control(control);
        self.push(image, control, text, true);
    }

    fn push(&mut self, image: usize, control: u32, choice: &str, perhaps: bool) {
        let next = self.choices.len() as u32;
        let choice = *self.choice_places.entry((control, choice.to_owned())).or_insert_with_key(|key| {
            self.choices.push(key.clone());
            next
        });
        self.chosen.push(Chosen { image: image as u32, choice, annotation: self.count, perhaps });
    }

    fn control(&mut self, name: &str) -> u32 {
        if let Some(&place) = self.control_places.get(name) {
            return place;
        }
        let place = self.controls.len() as u32;
        // The name in Label Studio's own templates.
        let kind = if matches!(name, "choice" | "choices") { Kind::Categories } else { Kind::Perhaps };
        self.controls.push(Control { name: name.to_owned(), kind, words: Words::default() });
        self.control_places.insert(name.to_owned(), place);
        place
    }

    /// Forgets all annotations but those of `kept`, which has one for each in the order in which they were begun. Controls
    /// and choices stay, so that the labels of every annotator have the same categories.
    pub fn keep(&mut self, kept: &[bool]) {
        // Annotations are counted from 1.
        let is_kept = |annotation: u32| kept[annotation as usize - 1];
        self.chosen.retain(|chosen| is_kept(chosen.annotation));
        self.otherwise.retain(|&(_, _, annotation)| is_kept(annotation));
        self.annotations.fill(0);
        self.count = 0;
        for (&image, _) in self.images.iter().zip(kept).filter(|(_, kept)| **kept) {
            self.annotations[image as usize] += 1;
            self.count += 1;
        }
    }

    /// Decides what is a choice and what it means, when all annotations are there.
    pub fn settle(&mut self) {
        let Self { chosen, choices, controls, otherwise, .. } = self;
        let control = |chosen: &Chosen| choices[chosen.choice as usize].0;
        chosen.retain(|chosen| !chosen.perhaps || controls[control(chosen) as usize].kind != Kind::Perhaps);
        chosen.sort_unstable();
        chosen.dedup_by_key(|chosen| (chosen.image, chosen.choice, chosen.annotation));
        let mut answers: Vec<_> = chosen.iter().map(|at| (at.image, control(at), at.annotation)).collect();
        answers.append(otherwise);
        answers.sort_unstable();
        answers.dedup();
        let mut answering: Vec<u32> = answers.iter().map(|&(_, _, annotation)| annotation).collect();
        answering.sort_unstable();
        answering.dedup();
        self.empty = self.count as usize - answering.len();
        for (image, control, _) in answers {
            *self.answered.entry((image, control)).or_default() += 1;
        }
    }

    /// Finds the controls that are answered with yes and no alone: each is one category.
    pub fn find_yes_and_no(&mut self) {
        for (control, text) in &self.choices {
            let words = &mut self.controls[*control as usize].words;
            match answered(text) {
                Some(Label::Positive) => words.yes = true,
                Some(Label::Negative) => words.no = true,
                Some(Label::Unknown) => words.unsure = true,
                None => words.other = true,
            }
        }
        for control in &mut self.controls {
            let Words { yes, no, unsure, other } = control.words;
            // Text of the task that is `unknown` throughout is no answer to a question.
            let asked = yes || no || (unsure && control.kind == Kind::Categories);
            if asked && !other {
                control.kind = Kind::YesNo;
            }
        }
    }

    /// Says that annotations also answer what is not a choice of a control: then choosing nothing is no answer.
    pub fn asks_more(&mut self) {
        self.asks_more = true;
    }

    /// Whether an image has an annotation.
    pub fn is_annotated(&self, image: usize) -> bool {
        self.annotations.get(image).is_some_and(|count| *count > 0)
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// How many annotations answered by choosing nothing, which they can where there is only one control and
    /// it lists categories.
    pub fn empty(&self) -> usize {
        if self.has_several_controls() || !self.lists_categories() { 0 } else { self.empty }
    }

    /// Whether the answers of a control are names of categories: what they leave out has to be said.
    pub fn lists_categories(&self) -> bool {
        self.controls.iter().any(|control| control.kind == Kind::Categories)
    }

    /// How many images have no annotation.
    pub fn unanswered(&self) -> usize {
        self.annotations.iter().filter(|count| **count == 0).count()
    }

    /// Names of the fields that hold plain text only.
    pub fn undecided(&self) -> Vec<&str> {
        self.names_of(Kind::Perhaps)
    }

    /// Names of the controls that are answered with yes and no.
    pub fn yes_and_no(&self) -> Vec<&str> {
        self.names_of(Kind::YesNo)
    }

    /// Names of the controls that have a yes and a no among answers that are categories.
    pub fn nearly_yes_and_no(&self) -> Vec<&str> {
        let nearly =
            |control: &&Control| control.kind == Kind::Categories && control.words.yes && control.words.no;
        self.controls.iter().filter(nearly).map(|control| control.name.as_str()).collect()
    }

    fn names_of(&self, kind: Kind) -> Vec<&str> {
        let controls = self.controls.iter().filter(|control| control.kind == kind);
        controls.map(|control| control.name.as_str()).collect()
    }

    fn has_several_controls(&self) -> bool {
        let mut sure = self.controls.iter().filter(|control| control.kind != Kind::Perhaps);
        self.asks_more || sure.nth(1).is_some()
    }

    /// How many annotations of an image were asked for the choices of a control and answered. Where there is
    /// only one control and it lists categories, choosing nothing is an answer.
    fn answered(&self, image: u32, control: u32) -> u32 {
        if self.has_several_controls() || self.kind(control) == Kind::YesNo {
            self.answered.get(&(image, control)).copied().unwrap_or(0)
        } else {
            self.annotations[image as usize]
        }
    }

    fn kind(&self, control: u32) -> Kind {
        self.controls[control as usize].kind
    }

    fn category(&self, choice: u32) -> String {
        let (control, answer) = &self.choices[choice as usize];
        let name = &self.controls[*control as usize].name;
        match self.kind(*control) {
            Kind::YesNo => name.clone(),
            _ if self.has_several_controls() => format!("{name}/{answer}"),
            _ => answer.clone(),
        }
    }

    /// The categories in order of appearance, each with its control.
    fn categories(&self) -> Vec<(u32, String)> {
        let mut asked = HashSet::new();
        let choices = self.choices.iter().zip(0..).filter(|((control, _), _)| match self.kind(*control) {
            Kind::Perhaps => false,
            Kind::Categories => true,
            Kind::YesNo => asked.insert(*control),
        });
        choices.map(|((control, _), place)| (*control, self.category(place))).collect()
    }

    /// A category that two controls name alike, such as the choice `b` of `a` and the control `a/b`.
    pub fn ambiguous(&self) -> Option<String> {
        let mut names = HashSet::new();
        self.categories().into_iter().map(|(_, name)| name).find(|name| !names.insert(name.clone()))
    }

    /// Marks what was chosen; under `--unlisted negative` also what another annotator did not choose.
    pub fn mark(&self, marks: &mut Marks, unlisted: Unlisted) {
        for (_, name) in self.categories() {
            marks.category(&name);
        }
        for cell in self.chosen.chunk_by(|a, b| (a.image, a.choice) == (b.image, b.choice)) {
            let Chosen { image, choice, .. } = cell[0];
            let category = marks.category(&self.category(choice));
            let (control, text) = &self.choices[choice as usize];
            if self.kind(*control) == Kind::YesNo {
                marks.mark(image as usize, category, answered(text).unwrap_or(Label::Unknown));
                continue;
            }
            marks.mark(image as usize, category, Label::Positive);
            let asked = self.answered(image, *control);
            if unlisted == Unlisted::Negative && (cell.len() as u32) < asked {
                marks.mark(image as usize, category, Label::Negative);
            }
        }
    }

    /// Makes unknown what nobody was asked or answered; gives how many labels were not that of images that have
    /// annotations.
    pub fn clear_unanswered(&self, annotations: &mut Annotations, unlisted: Unlisted) -> usize {
        if unlisted == Unlisted::Unknown {
            return 0;
        }
        let place: HashMap<&str, usize> =
            annotations.categories.iter().enumerate().map(|(column, name)| (name.as_str(), column)).collect();
        let mut columns = vec![Vec::new(); self.controls.len()];
        for (control, name) in self.categories() {
            columns[control as usize].push(place[name.as_str()]);
        }
        let mut open = 0;
        for (image, &count) in self.annotations.iter().enumerate() {
            for (control, columns) in columns.iter().enumerate() {
                if self.answered(image as u32, control as u32) > 0 {
                    continue;
                }
                for &column in columns {
                    let known = annotations.labels.get(image, column) != Label::Unknown;
                    open += usize::from(known && count > 0);
                    annotations.labels.set(image, column, Label::Unknown);
                }
            }
        }
        open
    }
}
