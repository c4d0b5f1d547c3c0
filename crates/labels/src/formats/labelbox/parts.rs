//! The parts of a data row, whose keys differ between the two layouts of an export.

use serde_json::{Map, Value};

use crate::formats::report::shown;

/// An image and its labels.
pub struct Row<'a> {
    /// The id of the data row.
    pub id: Option<&'a str>,
    /// What names the image: its external id, its global key, its address. None is empty.
    pub names: Vec<&'a str>,
    pub labels: Vec<RowLabel<'a>>,
}

/// What one annotator said of an image.
pub struct RowLabel<'a> {
    pub skipped: bool,
    pub objects: &'a [Value],
    pub classifications: &'a [Value],
}

/// The answer to a question.
pub enum Answer<'a> {
    /// One of several.
    Radio(&'a Value),
    /// Any of several.
    Checklist(&'a [Value]),
    /// Free text.
    Text,
    /// None.
    Open,
}

impl<'a> Row<'a> {
    /// Tells the layout by its keys.
    pub fn of(row: &'a Map<String, Value>) -> Result<Self, String> {
        if let Some(data_row) = row.get("data_row") {
            return Self::second(row, data_row);
        }
        if ["Label", "Labeled Data", "External ID"].iter().any(|key| row.contains_key(*key)) {
            return Self::first(row);
        }
        Err("neither data_row nor Label; expected a data row of an export of Labelbox".into())
    }

    /// Export v2: the labels of all projects.
    fn second(row: &'a Map<String, Value>, data_row: &'a Value) -> Result<Self, String> {
        let projects = match row.get("projects") {
            Some(Value::Object(projects)) => projects.values().collect(),
            None | Some(Value::Null) if row.contains_key("experiments") => {
                return Err("no projects but experiments: a model run; export a project instead".into());
            }
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err("projects of a data row is not an object".into()),
        };
        let mut labels = Vec::new();
        for project in projects {
            let list = project.get("labels").and_then(Value::as_array);
            for label in list.ok_or("a project of a data row without labels; expected an array")? {
                let skipped = label.get("performance_details").and_then(|details| details.get("skipped"));
                labels.push(RowLabel::of(skipped, label.get("annotations"), "annotations")?);
            }
        }
        let name = |key: &str| data_row.get(key).and_then(Value::as_str);
        let names = ["external_id", "global_key", "row_data"].into_iter().filter_map(name);
        Ok(Self { id: name("id"), names: names.filter(|name| !name.is_empty()).collect(), labels })
    }

    /// Export v1: a row for each label, and one for a data row without any.
    fn first(row: &'a Map<String, Value>) -> Result<Self, String> {
        let labels = match row.get("Label") {
            Some(Value::String(text)) if text == "Skip" => {
                vec![RowLabel { skipped: true, objects: &[], classifications: &[] }]
            }
            Some(Value::Object(label))
                if label.is_empty() && row.get("Skipped") != Some(&Value::Bool(true)) =>
            {
                Vec::new()
            }
            None | Some(Value::Null) => Vec::new(),
            label => vec![RowLabel::of(row.get("Skipped"), label, "Label")?],
        };
        let name = |key: &str| row.get(key).and_then(Value::as_str);
        let names = ["External ID", "Global Key", "Labeled Data"].into_iter().filter_map(name);
        Ok(Self { id: name("DataRow ID"), names: names.filter(|name| !name.is_empty()).collect(), labels })
    }
}

impl<'a> RowLabel<'a> {
    /// The lists of a label, which is called `what`.
    fn of(skipped: Option<&Value>, annotations: Option<&'a Value>, what: &str) -> Result<Self, String> {
        if skipped == Some(&Value::Bool(true)) {
            return Ok(Self { skipped: true, objects: &[], classifications: &[] });
        }
        let Some(Value::Object(annotations)) = annotations else {
            return Err(format!("{what} of a label is not an object"));
        };
        if annotations.contains_key("frames") {
            return Err(format!("{what} of a label has frames: a video; expected an image"));
        }
        if !annotations.contains_key("objects") && !annotations.contains_key("classifications") {
            let hint = "exports before 2020 had another layout; export again";
            return Err(format!("{what} of a label has neither objects nor classifications; {hint}"));
        }
        let list = |key: &str| match annotations.get(key) {
            None | Some(Value::Null) => Ok(&[][..]),
            Some(Value::Array(list)) => Ok(list.as_slice()),
            Some(_) => Err(format!("{key} of a label is not an array")),
        };
        Ok(Self { skipped: false, objects: list("objects")?, classifications: list("classifications")? })
    }
}

/// The name of a question, an answer or an object, as annotators see it; else the key made of it.
pub fn name_of(value: &Value) -> Option<&str> {
    let names = ["name", "title", "value"].iter().filter_map(|key| value.get(key)?.as_str());
    names.map(str::trim).find(|name| !name.is_empty())
}

/// The answer to a question: `radio_answer`, `checklist_answers` or `text_answer`; in export v1 `answer` or
/// `answers`.
pub fn answer_of<'a>(classification: &'a Value, question: &str) -> Result<Answer<'a>, String> {
    let keys = ["radio_answer", "checklist_answers", "text_answer", "answer", "answers"];
    let given = |key: &&'static str| Some((*key, classification.get(*key).filter(|it| !it.is_null())?));
    match keys.iter().find_map(given) {
        None => Ok(Answer::Open),
        Some(("radio_answer" | "answer", answer @ Value::Object(_))) => Ok(Answer::Radio(answer)),
        Some(("checklist_answers" | "answer" | "answers", Value::Array(answers))) => {
            Ok(Answer::Checklist(answers))
        }
        Some(("text_answer", Value::Object(_)) | ("answer", Value::String(_))) => Ok(Answer::Text),
        Some((key, _)) => Err(format!("{key} to {} is of an unknown layout", shown(question))),
    }
}
