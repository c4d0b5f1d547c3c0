//! Questions that have an answer for what is not there. One that an image leaves open is unknown, even where
//! everything that is not listed is negative.

use std::collections::{HashMap, HashSet};

use crate::labels::{Label, LabelMatrix};

/// Questions, their categories and which images answer them.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    places: HashMap<String, u32>,
    columns: Vec<Vec<usize>>,
    /// Images and the questions that they answer.
    answered: HashSet<(u32, u32)>,
}

impl Questions {
    /// Notes that a question decides a category.
    pub fn category(&mut self, question: &str, column: usize) {
        let place = self.place(question);
        let columns = &mut self.columns[place as usize];
        if !columns.contains(&column) {
            columns.push(column);
        }
    }

    /// Notes that an image answers a question.
    pub fn answer(&mut self, image: usize, question: &str) {
        let place = self.place(question);
        self.answered.insert((image as u32, place));
    }

    /// Whether a question decides a category.
    pub fn contains(&self, question: &str) -> bool {
        self.places.contains_key(question)
    }

    fn place(&mut self, question: &str) -> u32 {
        if let Some(&place) = self.places.get(question) {
            return place;
        }
        let place = self.columns.len() as u32;
        self.places.insert(question.to_owned(), place);
        self.columns.push(Vec::new());
        place
    }

    /// Makes the negative labels of questions unknown that an image leaves open; gives how many these are.
    pub fn clear_open(&self, labels: &mut LabelMatrix) -> usize {
        let mut open = 0;
        for (place, columns) in self.columns.iter().enumerate() {
            for image in 0..labels.images() {
                if self.answered.contains(&(image as u32, place as u32)) {
                    continue;
                }
                let negative = |&column: &usize| labels.get(image, column) == Label::Negative;
                let cleared: Vec<usize> = columns.iter().copied().filter(negative).collect();
                cleared.iter().for_each(|&column| labels.set(image, column, Label::Unknown));
                open += cleared.len();
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_labels_of_open_questions_become_unknown() {
        let mut questions = Questions::default();
        questions.category("rain", 0);
        questions.category("sky", 1);
        questions.category("sky", 2);
        questions.category("sky", 2);
        assert!(questions.contains("rain") && !questions.contains("fog"));
        questions.answer(0, "rain");
        questions.answer(1, "sky");
        // Column 3 belongs to no question; a positive label of another source stays.
        let mut labels = LabelMatrix::from_values(4, &[-1, -1, 1, -1, -1, 1, -1, -1]);
        assert_eq!(questions.clear_open(&mut labels), 2);
        assert_eq!(labels.to_floats(), [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, -1.0]);
        assert_eq!(questions.clear_open(&mut labels), 0);
    }
}
